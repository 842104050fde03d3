import { test } from "node:test";
import { attach } from "../../src/vm/guest.ts";
import { bootKernelViewGuest, kernelViewGuests } from "./kernel-views/guest.ts";
import { promises, promisesOfTheHost } from "./kernel-views/promises.ts";

for (const [index, entry] of kernelViewGuests.entries()) {
  test(`views of the kernel itself: ${entry.name}`, async (t) => {
    await using guest = await bootKernelViewGuest(entry);
    using attached = await attach(`pid:${guest.pid}`);
    const { kernel } = attached;

    const wanted = index === 0 ? [...promises, ...promisesOfTheHost] : promises;
    for (const [name, holds] of wanted) await t.test(name, () => holds(guest, kernel));
  });
}
