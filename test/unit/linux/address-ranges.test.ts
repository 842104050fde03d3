import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AddressRanges } from "../../../src/linux/address-ranges.ts";

test("an address is found in the range that holds it, ends excluded", () => {
  const ranges = new AddressRanges([
    { start: -100, end: -50, name: "b" },
    { start: -200, end: -150, name: "a" },
    { start: -40, end: -40, name: "empty" },
    { start: Number.NaN, end: -1, name: "fault" },
    { start: -30, end: Number.NaN, name: "fault" },
  ]);
  const found = [-201, -200, -151, -150, -100, -51, -50, -40, -30].map((at) => ranges.at(at)?.name);
  assert.deepEqual(found, [
    undefined,
    "a",
    "a",
    undefined,
    "b",
    "b",
    undefined,
    undefined,
    undefined,
  ]);
  assert.equal(ranges.at(Number.NaN), undefined);
});

test("disjoint ranges are found as a plain search finds them", () => {
  const cuts = fc.uniqueArray(fc.integer({ min: -1000, max: -1 }), { maxLength: 40 });
  fc.assert(
    fc.property(cuts, fc.integer({ min: -1001, max: 0 }), (points, address) => {
      const sorted = points.toSorted((a, b) => a - b);
      const all = sorted.slice(1).map((end, index) => ({ start: sorted[index], end }));
      const odd = all.filter((_, index) => index % 2 === 0);
      assert.equal(
        new AddressRanges(odd.toReversed()).at(address),
        odd.find(({ start, end }) => start <= address && address < end),
      );
    }),
  );
});
