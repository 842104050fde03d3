import { test } from "node:test";
import { checks } from "../../src/checks/registry.ts";
import { sweep } from "../../src/checks/sweep.ts";
import type { Sweep } from "../../src/checks/sweep.ts";
import { attach } from "../../src/vm/guest.ts";
import { assertClean, assertFound, assertGone } from "./harness/check-story.ts";
import { kernel as debianKernel } from "./harness/debian-kernel.ts";
import { bootTiny } from "./harness/guest.ts";
import { installIntruder } from "./harness/intruder.ts";
import { processPlants } from "./harness/process-plants.ts";
import { RamEditor } from "./harness/ram-editor.ts";

const IDS = new Set([
  "shared-credentials",
  "forged-credentials",
  "root-without-cause",
  "task-flags",
  "injected-code",
  "changed-code",
  "preloaded-libraries",
  "ptrace-attachments",
  "disguised-process",
  "covered-processes",
]);
const guests = [
  { release: "bookworm", flavour: "cloud", cpu: "max,la57=off" },
  { release: "trixie", flavour: "cloud", cpu: "max" },
] as const;

for (const { release, flavour, cpu } of guests) {
  test(`tampered user processes are found: ${release}/${flavour}`, async (t) => {
    const kernel = await debianKernel({ release, flavour });
    await using guest = await bootTiny({ kernel, cpu, ram: "file" });
    await installIntruder(guest);
    // The name is remembered once a dynamic program was started.
    await guest.run("bash -c true");
    using attached = await attach(`pid:${guest.pid}`);
    const chosen = checks.filter(({ id }) => IDS.has(id));
    const look = (): Sweep => sweep(attached.kernel, chosen);
    using editor = new RamEditor(guest, attached.kernel);
    await t.test("nothing is found before", () => assertClean(look()));
    for (const plant of processPlants) {
      await t.test(plant.title, async (inner) => {
        const undo = await plant.plant({ guest, kernel: attached.kernel, editor });
        try {
          assertFound(inner, plant, look);
        } finally {
          await undo();
        }
        assertGone(look());
      });
    }
  });
}
