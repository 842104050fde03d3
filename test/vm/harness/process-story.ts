import type { TestContext } from "node:test";
import { checks } from "../../../src/checks/registry.ts";
import { sweep } from "../../../src/checks/sweep.ts";
import type { Sweep } from "../../../src/checks/sweep.ts";
import { attach } from "../../../src/vm/guest.ts";
import { assertClean, assertFound, assertGone } from "./check-story.ts";
import { kernel as debianKernel } from "./debian-kernel.ts";
import type { KernelWish } from "./debian-kernel.ts";
import { bootTiny } from "./guest.ts";
import { installIntruder } from "./intruder.ts";
import { processPlants } from "./process-plants.ts";
import { RamEditor } from "./ram-editor.ts";

const IDS = new Set([
  "shared-credentials",
  "forged-credentials",
  "root-without-cause",
  "task-flags",
  "injected-code",
  "changed-code",
  "preloaded-libraries",
  "ptrace-attachments",
  "vanished-program",
  "disguised-process",
  "covered-processes",
  "unlisted-process",
  "hidden-thread",
  "stopped-guard",
  "removed-traces",
  "crypto-miner",
]);

/** Every tampering with user processes on one kernel: silent before, found twice, gone after. */
export async function processStory(t: TestContext, wish: KernelWish, cpu: string): Promise<void> {
  const kernel = await debianKernel(wish);
  await using guest = await bootTiny({ kernel, cpu, ram: "file" });
  await installIntruder(guest);
  // The loader's question for /etc/ld.so.preload is remembered once a dynamic program was started.
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
}
