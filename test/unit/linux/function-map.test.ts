import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { symbolTableOf } from "../../../src/formats/symbol-list.ts";
import { FunctionMap, lastAtOrBelow } from "../../../src/linux/kernel-text/function-map.ts";

const BASE = -0x7f00_0000;
const symbols = symbolTableOf([
  { name: "first", type: "T", address: BASE },
  { name: "table", type: "r", address: BASE + 0x20 },
  { name: "second.isra.0", type: "t", address: BASE + 0x40 },
  { name: "__noinstr_text_end", type: "T", address: BASE + 0x80 },
  { name: "second.cold", type: "t", address: BASE + 0x90 },
]);
const section = { start: BASE, size: 0x100 };

test("functions reach from code symbol to code symbol, whatever data lies between", () => {
  const map = new FunctionMap(symbols, section);
  assert.deepEqual(map.at(BASE + 0x30), { start: BASE, end: BASE + 0x40 });
  assert.deepEqual(map.at(BASE + 0xff), { start: BASE + 0x90, end: BASE + 0x100 });
  assert.equal(map.at(BASE + 0x100), undefined);
  assert.equal(map.at(BASE - 1), undefined);
  assert.ok(map.has(BASE + 0x40));
  assert.ok(!map.has(BASE + 0x41));
});

test("parts that were split off have the name of the whole", () => {
  const map = new FunctionMap(symbols, section);
  assert.equal(map.baseName(BASE + 0x40), map.baseName(BASE + 0x90));
  assert.ok(map.isCold(BASE + 0x90));
  assert.ok(!map.isCold(BASE + 0x40));
});

test("labels of the linker and code of alternatives are no functions to look at", () => {
  const nameless = [{ start: BASE + 0xc0, size: 0x20 }];
  const map = new FunctionMap(symbols, section, nameless);
  const starts = Array.from(map.overlapping(BASE, BASE + 0x100), ({ start }) => start - BASE);
  assert.deepEqual(starts, [0, 0x40, 0x90, 0xe0]);
});

test("what overlaps a stretch is found, and nothing else", () => {
  const map = new FunctionMap(symbols, section);
  fc.assert(
    fc.property(fc.nat(0xff), fc.nat(0xff), (from, length) => {
      const to = from + length + 1;
      for (const { start, end } of map.overlapping(BASE + from, BASE + to)) {
        assert.ok(start < BASE + to && end > BASE + from);
      }
    }),
  );
});

test("the last value at or below another is found by halving", () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), fc.integer(), (values, wanted) => {
      const sorted = Float64Array.from(values).toSorted();
      const expected = sorted.findLastIndex((value) => value <= wanted);
      assert.equal(lastAtOrBelow(sorted, wanted), expected);
    }),
  );
});
