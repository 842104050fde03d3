import { test } from "node:test";
import { attach } from "../../src/vm/guest.ts";
import { bootKernelViewGuest, kernelViewGuests } from "./kernel-views/guest.ts";
import { promises } from "./kernel-views/promises.ts";

for (const entry of kernelViewGuests) {
  test(`views of the kernel itself: ${entry.name}`, async (t) => {
    await using guest = await bootKernelViewGuest(entry);
    using attached = await attach(`pid:${guest.pid}`);
    const { kernel } = attached;

    for (const [name, holds] of promises) await t.test(name, () => holds(guest, kernel));
  });
}
