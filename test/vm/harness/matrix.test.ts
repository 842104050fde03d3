import assert from "node:assert/strict";
import { test } from "node:test";
import { checkGuest } from "./check-guest.ts";
import { bootMatrixGuest, guestMatrix } from "./guest-matrix.ts";

test("every trait appears in the small matrix", () => {
  const guests = guestMatrix("small");
  const seen = (trait: "machine" | "ram" | "cpus") =>
    new Set(guests.map(({ hardware }) => hardware[trait]));
  assert.deepEqual(new Set(guests.map(({ levels }) => levels)), new Set([5, 4]));
  assert.deepEqual(seen("machine"), new Set(["q35", "pc", "microvm"]));
  assert.deepEqual(seen("ram"), new Set(["memfd", "file", "anonymous"]));
  assert.deepEqual(seen("cpus"), new Set([1, 2, 4]));
});

for (const entry of guestMatrix("small")) {
  test(entry.name, async () => {
    await using guest = await bootMatrixGuest(entry);
    await checkGuest(guest, entry);
  });
}
