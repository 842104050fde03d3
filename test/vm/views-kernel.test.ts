import { test } from "node:test";
import { attach } from "../../src/vm/guest.ts";
import { bootKernelViewGuest, kernelViewGuests } from "./kernel-views/guest.ts";
import {
  modulesAreThoseOfProc,
  modulesAreThoseOfSysfs,
  symbolsHaveTheirOwners,
} from "./kernel-views/modules.ts";

for (const entry of kernelViewGuests) {
  test(`views of the kernel itself: ${entry.name}`, async (t) => {
    await using guest = await bootKernelViewGuest(entry);
    using attached = await attach(`pid:${guest.pid}`);
    const { kernel } = attached;

    await t.test("modules are those of /proc/modules", () => modulesAreThoseOfProc(guest, kernel));
    await t.test("modules' versions and build ids are those of /sys/module", () =>
      modulesAreThoseOfSysfs(guest, kernel),
    );
    await t.test("each symbol of /proc/kallsyms has its owner", () =>
      symbolsHaveTheirOwners(guest, kernel),
    );
  });
}
