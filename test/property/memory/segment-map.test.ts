import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PieceList } from "../../../src/memory/piece-list.ts";
import { SegmentMap } from "../../../src/memory/segment-map.ts";

const piece = fc.record({
  start: fc.nat(60),
  length: fc.integer({ min: 1, max: 20 }),
  offset: fc.nat(1000),
});

test("overlapping pieces resolve as if they were written one after another", () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const list = new PieceList();
      const expected = new Map<number, number>();
      for (const { start, length, offset } of pieces) {
        list.add(start, length, offset);
        for (let index = 0; index < length; index++) expected.set(start + index, offset + index);
      }
      const map = SegmentMap.of(list);
      for (let index = 1; index < map.count; index++) {
        assert.ok(map.starts[index] >= map.ends[index - 1]);
      }
      for (let address = 0; address < 90; address++) {
        const index = map.indexAt(address);
        const inside = index < map.count && map.starts[index] <= address;
        const offset = inside ? map.offsets[index] + address - map.starts[index] : undefined;
        assert.equal(offset, expected.get(address), `address ${address}`);
      }
      assert.equal(map.end, Math.max(0, ...[...expected.keys()].map((address) => address + 1)));
    }),
    { seed: 51, numRuns: 1000 },
  );
});

test("page ranges hold exactly the pages that are there whole", () => {
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const list = new PieceList();
      const there = new Set<number>();
      for (const { start, length, offset } of pieces) {
        list.add(start, length, offset);
        for (let index = 0; index < length; index++) there.add(start + index);
      }
      const ranges = SegmentMap.of(list).pageRanges(4);
      for (let page = 0; page < 92; page += 4) {
        const whole = [0, 1, 2, 3].every((within) => there.has(page + within));
        const listed = ranges.some(({ start, size }) => page >= start && page < start + size);
        assert.equal(listed, whole, `page ${page}`);
      }
      assert.ok(ranges.every(({ start, size }) => start % 4 === 0 && size > 0 && size % 4 === 0));
    }),
    { seed: 52, numRuns: 500 },
  );
});
