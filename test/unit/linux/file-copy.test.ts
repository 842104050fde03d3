import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { copyPieces } from "../../../src/linux/file-copy.ts";
import type { FilePiece, HoleReason } from "../../../src/linux/page-cache.ts";

const reasons: HoleReason[] = ["sparse", "absent", "evicted", "swapped", "unreadable"];
const part = fc.record({
  length: fc.integer({ min: 1, max: 20 }),
  hole: fc.option(fc.constantFrom(...reasons)),
});

test("bytes land where they were, and every other byte is in a hole", () => {
  fc.assert(
    fc.property(fc.array(part, { maxLength: 20 }), (parts) => {
      const pieces: FilePiece[] = [];
      let size = 0;
      for (const { length, hole } of parts) {
        const bytes = new Uint8Array(length).map((_, index) => ((size + index) % 255) + 1);
        pieces.push(
          hole === null ? { offset: size, length, bytes } : { offset: size, length, hole },
        );
        size += length;
      }
      const out = new Uint8Array(size);
      const copy = copyPieces(pieces, (offset, bytes) => out.set(bytes, offset));
      assert.equal(copy.size, size);
      assert.equal(copy.copied, size - out.filter((byte) => byte === 0).length);
      const missing = copy.holes.flatMap(({ offset, length }) =>
        Array.from({ length }, (_, index) => offset + index),
      );
      const expected = [...out.keys()].filter((at) => out[at] === 0);
      assert.deepEqual(missing, expected);
      for (const [at, byte] of out.entries()) assert.ok(byte === 0 || byte === (at % 255) + 1);
      const lacks = parts.some(({ hole }) => hole !== null && hole !== "sparse");
      assert.equal(copy.complete, !lacks);
    }),
  );
});

test("neighbouring holes of one reason are one", () => {
  const { holes } = copyPieces(
    [
      { offset: 0, length: 4, hole: "absent" },
      { offset: 4, length: 4, hole: "absent" },
      { offset: 8, length: 4, hole: "swapped" },
      { offset: 12, length: 4, bytes: new Uint8Array(4) },
      { offset: 16, length: 4, hole: "swapped" },
    ],
    () => undefined,
  );
  assert.deepEqual(holes, [
    { offset: 0, length: 8, reason: "absent" },
    { offset: 8, length: 4, reason: "swapped" },
    { offset: 16, length: 4, reason: "swapped" },
  ]);
});
