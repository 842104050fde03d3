import assert from "node:assert/strict";
import { test } from "node:test";
import { parseBtf } from "../../../src/formats/btf.ts";
import type { TypeFile } from "../../../src/formats/type-file.ts";
import { loadKernelTypes } from "../../../src/linux/discovery/kernel-types.ts";
import { BtfWriter } from "../../fixtures/btf-writer.ts";
import { toyKernel } from "../../fixtures/toy-kernel.ts";

const OWN = { release: "6.18.0", buildId: "5a5a", banner: "Linux version 6.18.0 (gcc)" };

function typesOf(file: Partial<TypeFile>) {
  const writer = new BtfWriter();
  writer.int("jiffies_t", 8);
  const parsed = parseBtf(writer.bytes());
  assert.ok(parsed.ok);
  const { kernel } = toyKernel(writer);
  const nothing = { symbols: undefined, buildId: undefined, banner: undefined };
  const given: TypeFile = { format: "elf", types: parsed.btf, ...nothing, ...file };
  return loadKernelTypes(kernel.space, kernel.symbols, OWN, given).source === parsed.btf;
}

test("given types are used where nothing says that they are another kernel's", () => {
  assert.ok(typesOf({}));
  assert.ok(typesOf({ buildId: OWN.buildId }));
  assert.ok(typesOf({ banner: `${OWN.banner}\n` }));
});

test("types of another build are refused", () => {
  for (const other of [{ buildId: "abab" }, { banner: "Linux version 6.18.1 (gcc)" }]) {
    assert.throws(() => typesOf(other), {
      code: "KVMSEC_TYPES_FOREIGN",
      exit: 2,
      message: /guest runs 6\.18\.0, build id 5a5a/,
    });
  }
});
