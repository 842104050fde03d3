import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeSymbols } from "../../../src/linux/discovery/symbols.ts";
import { sampleSymbols, writeKallsyms } from "../../fixtures/kallsyms-writer.ts";
import type { KernelSymbol } from "../../fixtures/kallsyms-writer.ts";

const BASE = -0x7f00_0000;
const BANNER_AT = 0x3000;

function decode(...variables: KernelSymbol[]) {
  const symbols = [...sampleSymbols(600, BASE), ...variables];
  const table = writeKallsyms({
    symbols: symbols.toSorted((a, b) => a.address - b.address),
    order: "new",
    seqs: true,
    addressing: "relative",
    align: 8,
    imageBase: BASE,
    at: 0x5000,
  });
  const bytes = new Uint8Array(0x4_0000);
  bytes.set(Buffer.from("Linux version 6.18.0 (gcc)"), BANNER_AT);
  bytes.set(table.bytes, 0x5000);
  const image = { virtual: BASE, physical: 0, size: bytes.length, level3: 0 };
  return decodeSymbols(bytes, image, undefined);
}

test("a kernel without names of variables is told from one without symbols", () => {
  const banner = { name: "linux_banner", type: "D", address: BASE + BANNER_AT };
  assert.equal(decode(banner).symbols.address("linux_banner"), BASE + BANNER_AT);
  assert.throws(() => decode(), {
    code: "KVMSEC_SYMBOLS_NOT_FOUND",
    message: /names functions only/,
    hint: /CONFIG_KALLSYMS_ALL/,
  });
});
