import assert from "node:assert/strict";
import { test } from "node:test";
import { PAGE_SIZE } from "../../../src/base/address.ts";
import { PageSlots } from "../../../src/memory/page-slots.ts";
import { randomNumbers } from "../../fixtures/sparse-ram.ts";

/** Slots over pages that hold their own number, and how often each was filled. */
function numbered(slots: number): { slots: PageSlots; fills: number[] } {
  const fills: number[] = [];
  const fill = (page: number, target: Uint8Array): boolean => {
    fills.push(page / PAGE_SIZE);
    if (page >= 2 ** 50) return false;
    new DataView(target.buffer, target.byteOffset).setFloat64(0, page / PAGE_SIZE, true);
    return true;
  };
  return { slots: new PageSlots(fill, slots), fills };
}

const numberAt = (slots: PageSlots, at: number): number =>
  new DataView(slots.u8.buffer).getFloat64(at - (at % PAGE_SIZE), true);

test("every address leads to its own page, below and above 4 GiB", () => {
  const { slots } = numbered(16);
  for (let frame = 0; frame < 100; frame++) {
    for (const high of [0, 2 ** 20, 2 ** 24 + 7]) {
      const at = slots.offsetOf((frame + high) * PAGE_SIZE + 123);
      assert.equal(at % PAGE_SIZE, 123);
      assert.equal(numberAt(slots, at), frame + high);
    }
  }
});

test("as many pages as there are slots stay; one more takes the oldest one's place", () => {
  const { slots, fills } = numbered(16);
  const frames = Array.from({ length: 16 }, (_, index) => index * 1000 + 3);
  for (let round = 0; round < 5; round++) {
    for (const frame of frames) slots.offsetOf(frame * PAGE_SIZE);
  }
  assert.deepEqual(fills, frames);
  slots.offsetOf(77 * PAGE_SIZE);
  for (const frame of frames.slice(1)) slots.offsetOf(frame * PAGE_SIZE);
  assert.deepEqual(fills, [...frames, 77]);
  slots.offsetOf(frames[0] * PAGE_SIZE);
  assert.deepEqual(fills, [...frames, 77, frames[0]]);
});

test("long random use never shows a wrong page", () => {
  const { slots } = numbered(64);
  const next = randomNumbers(17);
  for (let step = 0; step < 50_000; step++) {
    const frame = next() % 3 === 0 ? next() % 50 : (next() % 200) * 2 ** (next() % 30);
    const at = slots.offsetOf(frame * PAGE_SIZE + (step % PAGE_SIZE));
    const [held, within] = [numberAt(slots, at), at % PAGE_SIZE];
    if (held !== frame || within !== step % PAGE_SIZE) assert.fail(`frame ${frame} is ${held}`);
  }
});

test("what is no address is a fault, also when the first page is held", () => {
  const { slots } = numbered(16);
  assert.ok(slots.offsetOf(0) >= 0);
  for (const odd of [-1, -PAGE_SIZE, -(2 ** 63), Number.NaN, Number.NEGATIVE_INFINITY]) {
    assert.equal(slots.offsetOf(odd), -1);
  }
  assert.equal(slots.offsetOf(2 ** 50), -1);
  assert.equal(slots.offsetOf(2 ** 63), -1);
});

test("a page that could not be read is not held, and clearing forgets all", () => {
  let readable = false;
  const slots = new PageSlots(() => readable, 16);
  assert.equal(slots.offsetOf(5), -1);
  readable = true;
  assert.ok(slots.offsetOf(5) >= 0);
  readable = false;
  assert.ok(slots.offsetOf(5) >= 0);
  slots.clear();
  assert.equal(slots.offsetOf(5), -1);
});
