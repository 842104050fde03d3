import assert from "node:assert/strict";
import { test } from "node:test";
import { Budget } from "../../../src/base/budget.ts";
import { hlistEntries, listEntries } from "../../../src/linux/list.ts";
import { listSnapshot } from "../../../src/linux/list-snapshot.ts";
import { BtfWriter } from "../../fixtures/btf-writer.ts";
import { toyKernel } from "../../fixtures/toy-kernel.ts";
import type { ToyKernel } from "../../fixtures/toy-kernel.ts";

const HEAD = 0x100;
const FIRST = 0x1000;
const NEXT = 0x20;
const STEPS = 1_000_000;

/** Nodes in a row behind a head, each leading to the next, the last to `end`. */
function chain(count: number, end: number | undefined): ToyKernel {
  const own = toyKernel(new BtfWriter());
  own.point(HEAD, FIRST);
  for (let index = 0; index < count; index++) {
    const at = FIRST + index * NEXT;
    const next = index + 1 < count ? at + NEXT : end;
    if (next !== undefined) own.point(at, next);
    own.point(at + 8, index === 0 ? HEAD : at - NEXT);
  }
  return own;
}

const walks = {
  listEntries: (own: ToyKernel, budget: Budget, told: string[]) => [
    ...listEntries(own.kernel, own.at(HEAD), 0, budget, (why) => told.push(why)),
  ],
  listSnapshot: (own: ToyKernel, budget: Budget, told: string[]) =>
    listSnapshot(own.kernel, own.at(HEAD), 0, budget, (why) => told.push(why)),
  hlistEntries: (own: ToyKernel, budget: Budget, told: string[]) => [
    ...hlistEntries(own.kernel, own.at(HEAD), 0, budget, (why) => told.push(why)),
  ],
};

for (const [name, walk] of Object.entries(walks)) {
  test(`${name}: all entries are found in their order`, () => {
    for (const count of [1, 2, 3, 50, 1000]) {
      const told: string[] = [];
      const own = chain(count, name === "hlistEntries" ? undefined : HEAD);
      const found = walk(own, new Budget(STEPS), told).map((entry) => entry - own.at(FIRST));
      assert.deepEqual(
        found,
        Array.from({ length: count }, (_, index) => index * NEXT),
      );
      assert.deepEqual(told, []);
    }
  });

  test(`${name}: a circle is left soon, with every entry seen and the problem told`, () => {
    for (const [count, back] of [
      [1, 0],
      [10, 9],
      [100, 3],
      [1000, 500],
    ]) {
      const told: string[] = [];
      const budget = new Budget(STEPS);
      const own = chain(count, FIRST + back * NEXT);
      const found = walk(own, budget, told);
      assert.equal(new Set(found).size, count);
      assert.ok(found.length <= 4 * count + 4);
      assert.equal(budget.exhausted, false);
      assert.match(told.join(), /does not end|does not lead back|runs in a circle/);
    }
  });

  test(`${name}: a broken link ends the walk and is told`, () => {
    const told: string[] = [];
    const own = chain(5, undefined);
    own.ram.setBigUint64(FIRST + 2 * NEXT, 0xffff_f000_0000_0000n, true);
    assert.equal(walk(own, new Budget(STEPS), told).length, 3);
    assert.match(told.join(), /leads to unreadable memory/);
  });
}
