import { test } from "node:test";
import { assertNoFault, bootMutationGuest } from "./mutation/run.ts";

const title = "2,000 seeded images of damaged guest memory: no crash, no endless walk";

// Its own watchdog notices a look that never ends; on a busy machine all of them take their time.
test(title, { timeout: 1_200_000 }, async () => {
  await using guest = await bootMutationGuest("trixie");
  await assertNoFault(guest, { images: 2000, thin: 4 });
});
