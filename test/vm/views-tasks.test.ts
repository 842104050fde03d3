import { test } from "node:test";
import { attach } from "../../src/vm/guest.ts";
import { bootTaskViewGuest, taskViewGuests } from "./task-views/guest.ts";
import { promises } from "./task-views/promises.ts";

for (const entry of taskViewGuests) {
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
