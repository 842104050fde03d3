import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SiteTable } from "../../../src/linux/kernel-text/site-table.ts";
import type { PatchSite } from "../../../src/linux/kernel-text/site-table.ts";

const site = fc.record<PatchSite>(
  {
    kind: fc.constantFrom("mcount", "jump-label", "static-call", "runtime-mask"),
    address: fc.oneof(fc.integer({ min: -40, max: -1 }), fc.constant(Number.NaN)),
    length: fc.integer({ min: 0, max: 255 }),
    detail: fc.oneof(fc.integer(), fc.constant(Number.NaN)),
  },
  { noNullPrototype: true },
);

/** What a map of objects gives. */
function expectedOf(sites: readonly PatchSite[]): Map<number, PatchSite> {
  const map = new Map(sites.map((each) => [each.address, each]));
  map.delete(Number.NaN);
  return new Map([...map].toSorted(([a], [b]) => a - b));
}

test("a table of sites gives what a map of them gives, the last of each address", () => {
  fc.assert(
    fc.property(fc.array(site, { maxLength: 120 }), (sites) => {
      const table = new SiteTable(sites);
      const expected = expectedOf(sites);
      assert.deepEqual([...table], [...expected.values()]);
      assert.deepEqual([...table.addresses], [...expected.keys()]);
      for (let address = -42; address < 2; address++) {
        assert.deepEqual(table.get(address), expected.get(address));
        const before = [...expected.values()].findLast((each) => each.address <= address);
        assert.deepEqual(table.before(address), before);
      }
      const middle = [...expected.values()].filter(
        ({ address }) => address >= -30 && address < -10,
      );
      assert.deepEqual([...table.within(-30, -10)], middle);
    }),
  );
});

test("a table grows with its sites", () => {
  const many = Array.from({ length: 100_000 }, (_, index): PatchSite => {
    return { kind: "mcount", address: -8 * (index + 1), length: 5, detail: index };
  });
  const table = new SiteTable(many);
  assert.equal(table.addresses.length, many.length);
  assert.deepEqual(table.get(-800), many[99]);
  assert.equal(table.get(-801), undefined);
  assert.equal(table.get(Number.NaN), undefined);
});
