import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  encodeSeekTable,
  frameAt,
  isZstd,
  parseSeekTable,
  SEEK_FOOTER,
  seekTableSize,
} from "../../../src/formats/zstd-seekable.ts";

const sizes = fc.array(
  fc.record({ packed: fc.integer({ min: 1, max: 70_000 }), content: fc.nat(2 ** 20) }),
  { maxLength: 40 },
);

test("what was encoded is parsed again, and each byte's frame is found", () => {
  fc.assert(
    fc.property(sizes, fc.nat(), (frames, chance) => {
      const bytes = encodeSeekTable(frames);
      const stored = frames.reduce((sum, { packed }) => sum + packed, bytes.length);
      assert.equal(seekTableSize(bytes.subarray(-SEEK_FOOTER), stored), bytes.length);
      const table = parseSeekTable(bytes, stored);
      assert.ok(table !== undefined);
      const size = table.content.at(-1) ?? 0;
      const position = size === 0 ? 0 : chance % size;
      const index = frameAt(table, position);
      if (size === 0) return assert.equal(index, -1);
      assert.ok(table.content[index]! <= position && position < table.content[index + 1]!);
      assert.deepEqual([frameAt(table, size), frameAt(table, -1)], [-1, -1]);
      assert.equal(parseSeekTable(bytes, stored + 1), undefined, "a file of another size");
    }),
  );
});

test("whatever bytes stand there, it is a table that fits the file or none", () => {
  const good = encodeSeekTable([
    { packed: 20, content: 4096 },
    { packed: 30, content: 100 },
  ]);
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const bad = Uint8Array.from(good);
      bad[at]! ^= change;
      const size = seekTableSize(bad.subarray(-SEEK_FOOTER), 50 + good.length);
      assert.ok(size === undefined || size <= 50 + good.length);
      const table = parseSeekTable(bad, 50 + good.length);
      // Only the sizes that frames unfold to can lie without contradiction.
      if (table !== undefined) assert.deepEqual([...table.packed], [0, 20, 50]);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      assert.equal(parseSeekTable(bytes, bytes.length), undefined);
      assert.equal(isZstd(bytes), false);
    }),
  );
});
