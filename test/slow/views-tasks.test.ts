import { test } from "node:test";
import { attach } from "../../src/vm/guest.ts";
import { bootTaskViewGuest } from "../vm/task-views/guest.ts";
import type { TaskViewGuest } from "../vm/task-views/guest.ts";
import { promises } from "../vm/task-views/promises.ts";

/** From the oldest kernel to the newest. */
const kernels = [
  "bullseye/cloud",
  "bookworm/generic",
  "bookworm-backports/cloud",
  "trixie/generic",
  "trixie/rt",
  "sid/cloud",
  "trixie-backports/cloud",
];

const guests = kernels.flatMap((kernel): TaskViewGuest[] => [
  { name: `${kernel}, 4-level paging`, kernel, levels: 4, ram: "memfd", cpus: 2 },
  { name: `${kernel}, 5-level paging`, kernel, levels: 5, ram: "anonymous", cpus: 2 },
]);

for (const entry of guests) {
  test(`views of tasks: ${entry.name}`, async (t) => {
    await using scene = await bootTaskViewGuest(entry);
    const { guest, population } = scene;
    using attached = await attach(`pid:${guest.pid}`);
    const { kernel } = attached;
    for (const [name, holds] of promises) {
      await t.test(name, () => holds(guest, kernel, population));
    }
  });
}
