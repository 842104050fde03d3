import { test } from "node:test";
import { attach } from "../../src/vm/guest.ts";
import { bootKernelViewGuest } from "../vm/kernel-views/guest.ts";
import type { KernelViewGuest } from "../vm/kernel-views/guest.ts";
import { promises } from "../vm/kernel-views/promises.ts";

/** From the oldest kernel to the newest. */
const kernels = [
  "bullseye/cloud",
  "bookworm/generic",
  "trixie/generic",
  "trixie/rt",
  "sid/cloud",
  "trixie-backports/cloud",
];

const guests = kernels.flatMap((kernel): KernelViewGuest[] => [
  { name: `${kernel}, 4-level paging`, kernel, levels: 4 },
  { name: `${kernel}, 5-level paging`, kernel, levels: 5 },
]);

for (const entry of guests) {
  test(`views of the kernel itself: ${entry.name}`, async (t) => {
    await using guest = await bootKernelViewGuest(entry);
    using attached = await attach(`pid:${guest.pid}`);
    const { kernel } = attached;
    for (const [name, holds] of promises) await t.test(name, () => holds(guest, kernel));
  });
}
