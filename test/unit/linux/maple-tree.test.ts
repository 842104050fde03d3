import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Budget } from "../../../src/base/budget.ts";
import { MapleTrees } from "../../../src/linux/maple-tree.ts";
import { BtfWriter } from "../../fixtures/btf-writer.ts";
import { toyKernel } from "../../fixtures/toy-kernel.ts";
import type { ToyKernel } from "../../fixtures/toy-kernel.ts";

const TREE = 0x100;
const ROOT = 0x12;
const [DENSE, LEAF, RANGE, ARANGE] = [0, 1, 2, 3];
const MAX = 2n ** 64n - 1n;
/** XA_ZERO_ENTRY of include/linux/xarray.h. */
const ZERO_ENTRY = 257n * 4n + 2n;

function types(): BtfWriter {
  const btf = new BtfWriter();
  const long = btf.int("unsigned long", 8);
  const pointer = btf.pointer(0);
  btf.struct("maple_tree", 24, [["ma_root", pointer, 64]]);
  const members = (pivots: number, slots: number) =>
    [
      ["parent", pointer, 0],
      ["pivot", btf.array(long, pivots), 64],
      ["slot", btf.array(pointer, slots), 64 + pivots * 64],
    ] as const;
  btf.struct("maple_range_64", 256, members(15, 16));
  btf.struct("maple_arange_64", 256, members(9, 10));
  btf.struct("maple_node", 256, [["slot", btf.array(pointer, 31), 64]]);
  return btf;
}

const toy = (): ToyKernel => toyKernel(types());

/** Writes a node; `slots` are the low bits of what is pointed to, or raw words. */
function node(
  own: ToyKernel,
  at: number,
  kind: number,
  pivots: readonly bigint[],
  slots: readonly (number | bigint)[],
): number {
  const room = { [DENSE]: 0, [LEAF]: 15, [RANGE]: 15, [ARANGE]: 9 }[kind] ?? 0;
  own.point(at, TREE | 1);
  for (const [index, pivot] of pivots.entries()) {
    own.ram.setBigUint64(at + 8 + index * 8, pivot, true);
  }
  for (const [index, slot] of slots.entries()) {
    const where = at + 8 + (room + index) * 8;
    if (typeof slot === "bigint") own.ram.setBigUint64(where, slot, true);
    else own.point(where, slot);
  }
  return at | (kind << 3) | 4;
}

/** Offsets of what a tree holds. */
function read(own: ToyKernel, steps = 10_000): number[] | undefined {
  const found = new MapleTrees(own.kernel).entries(own.at(TREE), new Budget(steps));
  return found?.map((entry) => entry - own.at(0));
}

const setRoot = (own: ToyKernel, encoded: number): void => own.point(TREE + 8, encoded | 2);

test("an empty tree, and one entry in place of a node", () => {
  const own = toy();
  assert.deepEqual(read(own), []);
  own.point(TREE + 8, 0x4000);
  assert.deepEqual(read(own), [0x4000]);
});

test("a leaf ends where its pivots do, or at its maximum", () => {
  const own = toy();
  setRoot(own, node(own, 0x1000, LEAF, [0xfffn, 0x1fffn, 0x2fffn], [0n, 0x4000, 0n, 0x4100]));
  assert.deepEqual(read(own), [0x4000, 0x4100]);
  setRoot(own, node(own, 0x1200, LEAF, [0xfffn, MAX], [0x4000, 0x4100, 0x4200]));
  assert.deepEqual(read(own), [0x4000, 0x4100], "what stands behind the maximum is stale");
});

test("all sixteen slots of a full leaf count", () => {
  const own = toy();
  const pivots = Array.from({ length: 15 }, (_, index) => BigInt(index + 1) * 0x1000n - 1n);
  const slots = Array.from({ length: 16 }, (_, index) => 0x4000 + index * 0x100);
  setRoot(own, node(own, 0x1000, LEAF, pivots, slots));
  assert.deepEqual(read(own), slots);
});

test("reserved entries are none", () => {
  const own = toy();
  setRoot(own, node(own, 0x1000, LEAF, [0xfffn, MAX], [ZERO_ENTRY, 0x4100]));
  assert.deepEqual(read(own), [0x4100]);
});

test("inner nodes of both kinds lead to leaves in order, each with its own maximum", () => {
  const own = toy();
  const first = node(own, 0x1000, LEAF, [0xfffn, 0x1fffn], [0x4000, 0x4100, 0x4f00]);
  const second = node(own, 0x1100, LEAF, [0x2fffn], [0x4200, 0x4300]);
  const third = node(own, 0x1200, DENSE, [], [0x4400, 0n, 0x4500]);
  const inner = node(own, 0x1300, RANGE, [0x3fffn, 0x4fffn], [second, third]);
  setRoot(own, node(own, 0x1400, ARANGE, [0x1fffn, 0x4fffn], [first, inner, 0x9900]));
  own.ram.setBigUint64(0x1400 + 8 + 8, MAX, true);
  own.ram.setBigUint64(0x1300 + 8 + 8, MAX, true);
  assert.deepEqual(read(own), [0x4000, 0x4100, 0x4200, 0x4300, 0x4400, 0x4500]);
});

test("a node that was replaced, or lies nowhere, ends the walk without a result", () => {
  const own = toy();
  const leaf = node(own, 0x1000, LEAF, [MAX], [0x4000]);
  setRoot(own, leaf);
  own.point(0x1000, 0x1000);
  assert.equal(read(own), undefined);
  setRoot(own, node(own, 0x1400, ARANGE, [MAX], [0x7fff_0000 | (LEAF << 3)]));
  assert.equal(read(own), undefined);
  setRoot(own, 0x1000 | (9 << 3));
  assert.equal(read(own), undefined, "no such kind of node");
});

test("a tree that contains itself is given up", () => {
  const own = toy();
  const encoded = 0x1400 | (ARANGE << 3) | 4;
  setRoot(own, node(own, 0x1400, ARANGE, [0xfffn, MAX], [encoded, encoded]));
  assert.equal(read(own), undefined);
});

test("any memory ends within the budget", () => {
  const words = fc.array(fc.oneof(fc.nat(0xffff), fc.constant(ROOT)), { maxLength: 400 });
  fc.assert(
    fc.property(words, fc.nat(3), (targets, kind) => {
      const own = toy();
      for (const [index, target] of targets.entries()) own.point(0x1000 + index * 8, target);
      setRoot(own, 0x1000 | (kind << 3));
      const found = read(own, 500);
      assert.ok(found === undefined || found.length <= 500);
    }),
    { numRuns: 300 },
  );
});
