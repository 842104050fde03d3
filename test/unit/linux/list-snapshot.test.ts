import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Budget } from "../../../src/base/budget.ts";
import { isLinked, listSnapshot } from "../../../src/linux/list-snapshot.ts";
import { BtfWriter } from "../../fixtures/btf-writer.ts";
import { toyKernel } from "../../fixtures/toy-kernel.ts";
import type { ToyKernel } from "../../fixtures/toy-kernel.ts";

const HEAD = 0x100;
const LINK = 0x10;
const LIST_POISON2 = 0xdead_0000_0000_0122n;

/** Links the entries at these offsets into a list, in this order. */
function link(own: ToyKernel, entries: readonly number[]): void {
  const nodes = [HEAD, ...entries.map((entry) => entry + LINK)];
  for (const [index, node] of nodes.entries()) {
    const next = nodes[(index + 1) % nodes.length];
    own.point(node, next);
    own.point(next + 8, node);
  }
}

function read(own: ToyKernel, steps = 1000): { found: number[]; told: string[] } {
  const told: string[] = [];
  const budget = new Budget(steps);
  const note = (why: string): number => told.push(why);
  const found = listSnapshot(own.kernel, own.at(HEAD), LINK, budget, note);
  return { found: found.map((entry) => entry - own.at(0)), told };
}

const toy = (): ToyKernel => toyKernel(new BtfWriter());

test("entries come in the list's order, none from an empty one", () => {
  const own = toy();
  link(own, []);
  assert.deepEqual(read(own), { found: [], told: [] });
  link(own, [0x3000, 0x1000, 0x2000]);
  assert.deepEqual(read(own), { found: [0x3000, 0x1000, 0x2000], told: [] });
  assert.ok(isLinked(own.kernel, own.at(0x1000 + LINK)));
});

test("an entry that was taken off while we stood on it sends the walk back to the head", () => {
  const own = toy();
  link(own, [0x1000, 0x2000, 0x3000]);
  // What list_del_rcu leaves of 0x2000, seen by who has just come from 0x1000.
  own.ram.setBigUint64(0x2000 + LINK + 8, LIST_POISON2, true);
  assert.ok(isLinked(own.kernel, own.at(0x1000 + LINK)) === false);
  let looks = 0;
  own.kernel.refresh = () => {
    if (++looks === 2) link(own, [0x1000, 0x3000]);
  };
  assert.deepEqual(read(own), { found: [0x1000, 0x3000], told: [] });
  assert.equal(looks, 2);
});

test("a list whose steps never lead back is followed as the kernel would, and told of", () => {
  const own = toy();
  link(own, [0x1000, 0x2000, 0x3000]);
  own.point(0x2000 + LINK + 8, 0x9000);
  const { found, told } = read(own);
  assert.deepEqual(found, [0x1000, 0x2000, 0x3000]);
  assert.equal(told.length, 1);
  assert.match(told[0], /does not lead back/);
});

test("a circle that misses the head and a hole are told of", () => {
  const circle = toy();
  link(circle, [0x1000, 0x2000, 0x3000]);
  circle.point(0x3000 + LINK, 0x1000 + LINK);
  assert.match(read(circle, 200).told.join(), /does not lead back|circle/);
  const hole = toy();
  link(hole, [0x1000, 0x2000]);
  hole.ram.setBigUint64(0x1000 + LINK, 0n, true);
  assert.match(read(hole).told.join(), /unreadable/);
});

test("any memory ends within the budget", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(0x1ff), { minLength: 2, maxLength: 64 }), (targets) => {
      const own = toy();
      for (const [index, target] of targets.entries()) own.point(index * 8, target * 8);
      own.point(HEAD, 8);
      assert.ok(read(own, 300).found.length <= 300);
    }),
    { numRuns: 300 },
  );
});

test("a circle that misses the head is left at its second turn", () => {
  const own = toy();
  const entries = Array.from({ length: 40 }, (_, index) => 0x1000 + index * 0x40);
  link(own, entries);
  own.point(entries[39] + LINK, entries[7] + LINK);
  const { found, told } = read(own, 100_000);
  assert.deepEqual(told.length, 1);
  assert.match(told[0], /circle|does not lead back/);
  assert.ok(found.length < 200, `${found.length} steps`);
});

test("once the budget is over no list is begun, which is told", () => {
  const own = toy();
  link(own, [0x1000, 0x2000, 0x3000]);
  const budget = new Budget(2);
  const told: string[] = [];
  const look = (): number[] =>
    listSnapshot(own.kernel, own.at(HEAD), LINK, budget, (why) => told.push(why));
  let looks = 0;
  own.kernel.refresh = () => void looks++;
  assert.equal(look().length, 2);
  assert.match(told.join(), /does not end$/);
  assert.deepEqual(look(), []);
  assert.match(told.join(), /the time for reading lists was over$/);
  assert.equal(looks, 0);
});
