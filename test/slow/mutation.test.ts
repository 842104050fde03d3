import { test } from "node:test";
import { assertNoFault, bootMutationGuest } from "../vm/mutation/run.ts";

/** From the oldest kernel to the newest: lists or trees of mounts, rb-trees or maple trees of areas. */
const releases = ["bullseye", "bookworm", "trixie", "trixie-backports"];
/** How many of each; each image is made from its number alone, so a part can be looked at again. */
const IMAGES = Number(process.env["KVMSEC_TEST_IMAGES"] ?? 25_000);

for (const [index, release] of releases.entries()) {
  test(`${IMAGES} seeded images of damaged memory: ${release}`, async (t) => {
    const first = Number(process.env["KVMSEC_TEST_FIRST_IMAGE"] ?? 1_000_000 * (index + 1));
    await using guest = await bootMutationGuest(release);
    const tell = (place: string): void =>
      console.log(`${release}: ${place}, of ${first} to ${first + IMAGES - 1}`);
    const { most } = await assertNoFault(guest, { images: IMAGES, seed: first, tell });
    const dearest = [...most].toSorted(([, a], [, b]) => b - a).slice(0, 5);
    t.diagnostic(`the most reads in one look: ${JSON.stringify(dearest)}`);
  });
}
