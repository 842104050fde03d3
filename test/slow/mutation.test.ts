import { test } from "node:test";
import { assertNoFault, bootMutationGuest } from "../vm/mutation/run.ts";

/** From the oldest kernel to the newest: lists or trees of mounts, rb-trees or maple trees of areas. */
const releases = ["bullseye", "bookworm", "trixie", "sid"];

for (const [index, release] of releases.entries()) {
  test(`25,000 seeded images of damaged memory: ${release}`, async () => {
    await using guest = await bootMutationGuest(release);
    await assertNoFault(guest, 25_000, 1_000_000 * (index + 1));
  });
}
