import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Budget } from "../../../src/base/budget.ts";
import { rbEntries } from "../../../src/linux/rb-tree.ts";
import { BtfWriter } from "../../fixtures/btf-writer.ts";
import { toyKernel } from "../../fixtures/toy-kernel.ts";
import type { ToyKernel } from "../../fixtures/toy-kernel.ts";

const ROOT = 0x800;
const FIRST = 0x1000;
const SIZE = 32;
const RIGHT = 8;
const LEFT = 16;

function toy(): ToyKernel {
  const types = new BtfWriter();
  const parent = types.int("unsigned long", 8);
  const struct = parent + 2;
  const pointer = types.pointer(struct);
  types.struct("rb_node", 24, [
    ["__rb_parent_color", parent, 0],
    ["rb_right", pointer, RIGHT * 8],
    ["rb_left", pointer, LEFT * 8],
  ]);
  return toyKernel(types, 0x1_0000);
}

function read(own: ToyKernel, steps = 5000): { found: number[]; told: string[] } {
  const told: string[] = [];
  const budget = new Budget(steps);
  const entries = rbEntries(own.kernel, own.at(ROOT), 0, budget, (why) => told.push(why));
  return { found: [...entries].map((entry) => (entry - own.at(FIRST)) / SIZE), told };
}

/** Lays the numbers from `low` to `high` out as a balanced tree; answers its root. */
function grow(own: ToyKernel, low: number, high: number): number | undefined {
  if (low > high) return undefined;
  const middle = (low + high) >> 1;
  const at = FIRST + middle * SIZE;
  const left = grow(own, low, middle - 1);
  const right = grow(own, middle + 1, high);
  if (left !== undefined) own.point(at + LEFT, left);
  if (right !== undefined) own.point(at + RIGHT, right);
  return at;
}

test("entries come in their order", () => {
  for (const count of [1, 2, 3, 10, 100, 1000]) {
    const own = toy();
    own.point(ROOT, grow(own, 0, count - 1) ?? 0);
    const expected = Array.from({ length: count }, (_, index) => index);
    assert.deepEqual(read(own), { found: expected, told: [] });
  }
});

test("an empty tree has none", () => {
  assert.deepEqual(read(toy()), { found: [], told: [] });
});

test("a subtree outside of memory is left out and told", () => {
  const own = toy();
  own.point(ROOT, grow(own, 0, 2) ?? 0);
  own.point(FIRST + LEFT, 0x9_0000);
  const { found, told } = read(own);
  assert.deepEqual(found, [0, 1, 2]);
  assert.match(told[0], /cannot be read/);
});

test("whatever memory holds, the walk ends within its budget", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(500), fc.nat(500)), { maxLength: 300 }), (pairs) => {
      const own = toy();
      own.point(ROOT, FIRST);
      for (const [from, to] of pairs) own.point(FIRST + from * 8, FIRST + to * 8);
      assert.ok(read(own, 3000).found.length <= 3000);
    }),
    { numRuns: 300 },
  );
});
