import assert from "node:assert/strict";
import { test } from "node:test";
import { Budget } from "../../src/base/budget.ts";

function steps(budget: Budget): number {
  let taken = 0;
  while (budget.step()) taken++;
  return taken;
}

test("a budget ends after its steps", () => {
  const budget = new Budget(7);
  assert.equal(steps(budget), 7);
  assert.ok(budget.exhausted);
});

test("a part ends by itself, and is paid by the whole", () => {
  const whole = new Budget(10);
  assert.equal(steps(whole.part(4)), 4);
  assert.equal(whole.exhausted, false);
  const part = whole.part(100);
  assert.equal(steps(part), 6);
  assert.ok(part.exhausted && whole.exhausted);
});

test("time ends it too", () => {
  assert.ok(steps(new Budget(1_000_000, 0)) < 2000);
});

test("patience is limited, and the whole's", (t) => {
  const waits = t.mock.method(Atomics, "wait", () => "timed-out");
  const budget = new Budget(10, 10_000, 5);
  for (let turn = 0; turn < 100; turn++) budget.part(5).wait(2);
  assert.equal(waits.mock.callCount(), 2);
});
