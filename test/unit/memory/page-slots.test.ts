import assert from "node:assert/strict";
import { test } from "node:test";
import { PAGE_SIZE } from "../../../src/base/address.ts";
import { PageSlots } from "../../../src/memory/page-slots.ts";

/** Slots over pages that hold their own number, and how often each was filled. */
function numbered(slots: number): { slots: PageSlots; fills: number[] } {
  const fills: number[] = [];
  const fill = (page: number, target: Uint8Array): boolean => {
    fills.push(page / PAGE_SIZE);
    if (page >= 2 ** 40) return false;
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

test("two pages of one set stay; the third takes the older one's place", () => {
  const { slots, fills } = numbered(16);
  for (let round = 0; round < 5; round++) {
    slots.offsetOf(3 * PAGE_SIZE);
    slots.offsetOf((3 + 8) * PAGE_SIZE);
  }
  assert.deepEqual(fills, [3, 11]);
  slots.offsetOf((3 + 16) * PAGE_SIZE);
  slots.offsetOf((3 + 8) * PAGE_SIZE);
  assert.deepEqual(fills, [3, 11, 19]);
  slots.offsetOf(3 * PAGE_SIZE);
  assert.deepEqual(fills, [3, 11, 19, 3]);
});

test("what is no address is a fault, also when the first page is held", () => {
  const { slots } = numbered(16);
  assert.ok(slots.offsetOf(0) >= 0);
  for (const odd of [-1, -PAGE_SIZE, -(2 ** 63), Number.NaN, Number.NEGATIVE_INFINITY]) {
    assert.equal(slots.offsetOf(odd), -1);
  }
  assert.equal(slots.offsetOf(2 ** 40), -1);
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
