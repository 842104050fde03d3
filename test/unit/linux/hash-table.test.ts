import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Budget } from "../../../src/base/budget.ts";
import { hashEntries } from "../../../src/linux/hash-table.ts";
import type { HashTable } from "../../../src/linux/hash-table.ts";
import { BtfWriter } from "../../fixtures/btf-writer.ts";
import { toyKernel } from "../../fixtures/toy-kernel.ts";
import type { ToyKernel } from "../../fixtures/toy-kernel.ts";

const TABLE = 0x1000;
/** The list node of an entry. */
const LINK = 0x10;
const SIZE = 0x1_0000;

function toy(): ToyKernel {
  return toyKernel(new BtfWriter(), SIZE);
}

function table(own: ToyKernel, more: Partial<HashTable> = {}): HashTable {
  const address = own.at(TABLE);
  return { name: "it", address, buckets: 8, stride: 8, head: 0, link: LINK, ...more };
}

/** Offsets of the entries found, and the problems told. */
function read(own: ToyKernel, of: HashTable, steps = 10_000): { found: number[]; told: string[] } {
  const told: string[] = [];
  const entries = hashEntries(own.kernel, of, new Budget(steps), (why) => told.push(why));
  return { found: [...entries].map((entry) => entry - own.at(0)), told };
}

test("entries of all buckets are found, in their order", () => {
  const own = toy();
  own.point(TABLE + 3 * 8, 0x2000 + LINK);
  own.point(0x2000 + LINK, 0x2100 + LINK);
  own.point(TABLE + 7 * 8, 0x2200 + LINK);
  assert.deepEqual(read(own, table(own)), { found: [0x2000, 0x2100, 0x2200], told: [] });
});

test("a nulls list has to end with its own bucket's mark", () => {
  const own = toy();
  own.point(TABLE, 0x2000 + LINK);
  own.ram.setUint32(0x2000 + LINK, (4 + 0) * 2 + 1, true);
  own.point(TABLE + 8, 0x2100 + LINK);
  own.ram.setUint32(0x2100 + LINK, (4 + 6) * 2 + 1, true);
  const { found, told } = read(own, table(own, { buckets: 2, nulls: 4 }));
  assert.deepEqual(found, [0x2000, 0x2100]);
  assert.deepEqual(told, ["bucket 1 of it changes faster than it can be read"]);
});

test("what belongs into another bucket ends the chain", () => {
  const own = toy();
  own.point(TABLE, 0x2000 + LINK);
  own.point(0x2000 + LINK, 0x2100 + LINK);
  const belongs = (entry: number): boolean => entry === own.at(0x2000);
  const { found, told } = read(own, table(own, { belongs }));
  assert.deepEqual(found, [0x2000]);
  assert.match(told[0], /holds what belongs into another/);
});

test("a locked head of a rhashtable is followed", () => {
  const own = toy();
  own.point(TABLE, 0x2000 + LINK);
  own.ram.setUint8(TABLE, own.ram.getUint8(TABLE) | 1);
  own.ram.setUint32(0x2000 + LINK, 0x99, true);
  assert.deepEqual(read(own, table(own)).found, []);
  assert.deepEqual(read(own, table(own, { lockBit: true })), { found: [0x2000], told: [] });
});

test("a circle is left and told", () => {
  const own = toy();
  own.point(TABLE, 0x2000 + LINK);
  own.point(0x2000 + LINK, 0x2000 + LINK);
  const { told } = read(own, table(own));
  assert.match(told[0], /does not end/);
});

test("of many damaged buckets a few are told, and how many more there are", () => {
  const own = toy();
  for (let bucket = 0; bucket < 8; bucket++) {
    own.point(TABLE + bucket * 8, 0x2000 + LINK);
  }
  own.point(0x2000 + LINK, 0x9_0000);
  const { told } = read(own, table(own));
  assert.equal(told.length, 5);
  assert.match(told[4], /4 more such places/);
});

test("an impossible number of buckets is not believed", () => {
  const own = toy();
  for (const buckets of [Number.NaN, 0, -1, 2 ** 32]) {
    assert.deepEqual(read(own, table(own, { buckets })), {
      found: [],
      told: [`it cannot have ${buckets} buckets`],
    });
  }
});

test("a table that is not all in memory is read as far as it goes", () => {
  const own = toy();
  own.point(SIZE - 0x2000 - 8, 0x2000 + LINK);
  const start = SIZE - 0x2000 - 16;
  const end = table(own, { address: own.at(start), buckets: 4096 });
  const { told } = read(own, end);
  assert.ok(told.includes("it is not all in memory"));
});

test("whatever memory holds, the walk ends within its budget", () => {
  const pointers = fc.array(fc.tuple(fc.nat(0x1fff), fc.nat(0x1fff)), { maxLength: 400 });
  fc.assert(
    fc.property(pointers, fc.integer({ min: 1, max: 64 }), (pairs, buckets) => {
      const own = toy();
      for (const [from, to] of pairs) own.point(from * 4, to * 8);
      const { found } = read(own, table(own, { buckets }), 2000);
      assert.ok(found.length <= 2000);
    }),
    { numRuns: 300 },
  );
});
