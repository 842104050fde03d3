import assert from "node:assert/strict";
import { test } from "node:test";
import { findKallsyms } from "../../../src/formats/kallsyms.ts";
import { packSymbols, unpackSymbols } from "../../../src/linux/discovery/symbol-proof.ts";
import { sampleSymbols, writeKallsyms } from "../../fixtures/kallsyms-writer.ts";
import type { KallsymsSpec } from "../../fixtures/kallsyms-writer.ts";

const BASE = -0x7f00_0000;
const LAYOUTS = [
  { order: "old", seqs: true, addressing: "percpu", align: 8 },
  { order: "new", seqs: true, addressing: "pc-relative", align: 4 },
] as const;

function imageOf(layout: (typeof LAYOUTS)[number] | Pick<KallsymsSpec, "addressing">): {
  image: Uint8Array;
  places: Record<string, number>;
} {
  const symbols = sampleSymbols(700, BASE);
  const spec = { ...LAYOUTS[0], ...layout, symbols, imageBase: BASE, at: 0x5000 };
  const { bytes, offsets } = writeKallsyms(spec);
  const image = new Uint8Array(0x4_0000);
  image.set(bytes, spec.at);
  return { image, places: offsets };
}

const reader =
  (image: Uint8Array) =>
  (offset: number, length: number): Uint8Array | undefined =>
    offset + length <= image.length ? image.subarray(offset, offset + length) : undefined;

function packed(image: Uint8Array): Uint8Array | undefined {
  const found = findKallsyms(image, BASE);
  assert.ok(found.ok);
  return packSymbols(found.candidates[0], reader(image));
}

for (const layout of LAYOUTS) {
  test(`kept symbols are used only for the table that they come from: ${layout.order}`, () => {
    const { image, places } = imageOf(layout);
    const stored = packed(image) ?? assert.fail("nothing was packed");
    const again = unpackSymbols(stored, reader(image));
    assert.equal(again?.proved, true);
    assert.equal(again?.table.address("_text"), BASE);

    // What does not belong to the table may be another in the next boot.
    image[0] ^= 1;
    assert.equal(unpackSymbols(stored, reader(image))?.proved, true);
    for (const part of ["offsets", "names", "markers", "tokenTable", "tokenIndex"]) {
      const changed = Uint8Array.from(image);
      changed[(places[part] ?? assert.fail(part)) + 3] ^= 1;
      assert.equal(unpackSymbols(stored, reader(changed))?.proved, false, part);
    }
  });
}

test("a table of whole addresses is not kept, and damage is refused", () => {
  assert.equal(packed(imageOf({ addressing: "absolute" }).image), undefined);
  const { image } = imageOf(LAYOUTS[0]);
  const stored = packed(image) ?? assert.fail("nothing was packed");
  for (const length of [0, 47, 48, stored.length - 1]) {
    assert.equal(unpackSymbols(stored.subarray(0, length), reader(image)), undefined);
  }
  const greedy = Buffer.from(stored);
  greedy.writeUInt32LE(0xffff_ffff, 4);
  assert.equal(unpackSymbols(greedy, reader(image))?.proved, false);
});
