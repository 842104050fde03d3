import { test } from "node:test";
import { assertNoFault, bootMutationGuest } from "./mutation/run.ts";

// Its own watchdog notices a look that never ends; on a busy machine all of them take their time.
const patient = { timeout: 1_200_000 };

test(
  "2,000 seeded images of damaged guest memory: no crash, no endless walk",
  patient,
  async () => {
    await using guest = await bootMutationGuest("trixie");
    await assertNoFault(guest, { images: 2000, thin: 4 });
  },
);
