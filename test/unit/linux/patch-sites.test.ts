import assert from "node:assert/strict";
import { test } from "node:test";
import type { CodeFile } from "../../../src/linux/kernel-text/code-file.ts";
import { patchSites } from "../../../src/linux/kernel-text/patch-sites.ts";
import { BtfWriter } from "../../fixtures/btf-writer.ts";
import { toyKernel } from "../../fixtures/toy-kernel.ts";

const CODE = 0x1000;
const ENTRY = 0x2000;
const NEAR = 0x20;
const FAR = 0x300;

/** The length of a jump label's site where memory holds `hex`, and which leads so far. */
function labelLength(hex: string, distance: number): number | undefined {
  const { kernel, ram, at } = toyKernel(new BtfWriter());
  Buffer.from(hex, "hex").forEach((byte, index) => ram.setUint8(CODE + index, byte));
  ram.setInt32(ENTRY, CODE - ENTRY, true);
  ram.setInt32(ENTRY + 4, CODE + distance - (ENTRY + 4), true);
  const file: CodeFile = {
    sections: new Map(),
    tables: {
      mcount: undefined,
      staticCalls: undefined,
      jumpLabels: { start: at(ENTRY), size: 16 },
    },
    staticCallTrampolines: [],
    bytes: (address, length) => kernel.space.bytes(address, length),
    i32: (address) => kernel.space.i32(address),
    pointer: (address) => kernel.space.pointer(address),
  };
  const site = [...patchSites(kernel, file)].find(({ kind }) => kind === "jump-label");
  assert.equal(site?.address, at(CODE));
  assert.equal(site.detail, at(CODE + distance));
  return site.length;
}

test("a jump label has two bytes or five, also in a guest that was stopped while it changed one", () => {
  const short = ["eb1e", "6690", "cc1e", "cc90"];
  assert.deepEqual(
    short.map((hex) => labelLength(`${hex}4889c7`, NEAR)),
    [2, 2, 2, 2],
  );
  const long = ["e9fb020000", "0f1f440000", "6666666690", "ccfb020000", "cc1f440000"];
  assert.deepEqual(
    long.map((hex) => labelLength(hex, FAR)),
    [5, 5, 5, 5, 5],
  );
});
