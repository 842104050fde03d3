import { test } from "node:test";
import { attach } from "../../src/vm/guest.ts";
import { dumpsSayTheSame } from "../vm/harness/dump-equality.ts";
import { parseKernel } from "../vm/harness/guest-matrix.ts";
import { bootKernelViewGuest } from "../vm/kernel-views/guest.ts";
import { promises as kernelPromises } from "../vm/kernel-views/promises.ts";
import { compareNetViews } from "../vm/net-views/all.ts";
import { bootTaskViewGuest } from "../vm/task-views/guest.ts";
import { promises as taskPromises } from "../vm/task-views/promises.ts";
import { crossGuests } from "./cross-guests.ts";

/** Storms have their own tests on every kernel, and leave nothing that keeps still. */
const calm = taskPromises.filter(([name]) => !name.includes("storms"));

for (const { forms, ...entry } of crossGuests()) {
  const [ofTasks, ofKernel, ...ofNet] = forms;
  const { name, kernel: wish, levels, ...hardware } = entry;

  test(`tasks: ${name}`, async (t) => {
    await using scene = await bootTaskViewGuest(entry);
    const { guest, population } = scene;
    using attached = await attach(`pid:${guest.pid}`);
    for (const [title, holds] of calm) {
      await t.test(title, () => holds(guest, attached.kernel, population));
    }
    await dumpsSayTheSame(t, guest, [ofTasks]);
  });

  test(`the kernel itself: ${name}`, async (t) => {
    await using guest = await bootKernelViewGuest(entry);
    using attached = await attach(`pid:${guest.pid}`);
    for (const [title, holds] of kernelPromises) {
      await t.test(title, () => holds(guest, attached.kernel));
    }
    await dumpsSayTheSame(t, guest, [ofKernel]);
  });

  test(`network and mounts: ${name}`, async (t) => {
    const cpu = levels === 5 ? "max" : "max,la57=off";
    const shape = { ...hardware, cpu, wish: parseKernel(wish) };
    await compareNetViews(t, shape, (guest) => dumpsSayTheSame(t, guest, ofNet));
  });
}
