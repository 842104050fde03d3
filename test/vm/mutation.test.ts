import { test } from "node:test";
import { assertNoFault, bootMutationGuest } from "./mutation/run.ts";

test("2,000 seeded images of damaged guest memory: no crash, no endless walk", async () => {
  await using guest = await bootMutationGuest("trixie");
  await assertNoFault(guest, 2000);
});
