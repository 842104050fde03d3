import { test } from "node:test";
import { checkGuest } from "../vm/harness/check-guest.ts";
import { bootMatrixGuest, guestMatrix } from "../vm/harness/guest-matrix.ts";

for (const entry of guestMatrix("full")) {
  test(entry.name, async () => {
    await using guest = await bootMatrixGuest(entry);
    await checkGuest(guest, entry);
  });
}
