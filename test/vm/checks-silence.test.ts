import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { checks } from "../../src/checks/registry.ts";
import { sweep } from "../../src/checks/sweep.ts";
import type { Sweep } from "../../src/checks/sweep.ts";
import { findKernelFiles } from "../../src/files/kernel-files.ts";
import { ProcessorProgress } from "../../src/linux/processor-progress.ts";
import { attach } from "../../src/vm/guest.ts";
import type { Guest as Attached } from "../../src/vm/guest.ts";
import { readProcessors } from "../../src/vm/processors.ts";
import { kernel as debianKernel } from "./harness/debian-kernel.ts";
import { moduleFolder } from "./harness/guest-modules.ts";
import { bootTiny } from "./harness/guest.ts";
import type { Guest } from "./harness/guest.ts";
import { foreignDriver, harmlessCauses, livepatching } from "./harness/harmless.ts";
import { ownModules } from "./harness/own-modules.ts";
import { silentDuring } from "./harness/silence.ts";

const WITHOUT_FILES = 5;
/** Without mitigations the kernel writes indirect branches into its code where thunks were called. */
const guests = [
  { release: "bookworm", flavour: "cloud", cpu: "max,la57=off", append: "mitigations=off" },
  { release: "bookworm-backports", flavour: "cloud", cpu: "max", append: "" },
] as const;

for (const { release, flavour, cpu, append } of guests) {
  test(`harmless causes are no finding: ${release}/${flavour}`, async (t) => {
    const kernel = await debianKernel({ release, flavour });
    const folder = await ownModules(kernel);
    await using guest = await bootTiny({
      kernel,
      cpu,
      append,
      cpus: 2,
      ram: "file",
      availableModules: ["dummy", "bridge", "tun"],
      files: Object.fromEntries(
        ["livepatch.ko", "ordinary-driver.ko"].map((name) => [
          `/root/${name}`,
          readFileSync(join(folder, name)),
        ]),
      ),
    });
    using attached = await attach(`pid:${guest.pid}`);
    const files = findKernelFiles(attached, {
      kernelFile: kernel.vmlinuz,
      modulesDir: await moduleFolder(guest.options),
    });
    let looks = 0;
    const look = async (): Promise<Sweep> =>
      // Now and then as if there were no files: code is judged by its forms then.
      looks++ % WITHOUT_FILES === WITHOUT_FILES - 1
        ? sweep(attached.kernel, checks, {})
        : sweep(attached.kernel, checks, { ...files, ...(await readProcessors(attached)) });
    for (const { title, commands } of [...harmlessCauses, livepatching, foreignDriver]) {
      await t.test(title, async (inner) => {
        inner.diagnostic(`${await silentDuring(guest, look, commands)} sweeps`);
      });
    }
    await t.test("processors that stand still in the middle of something are told", async () => {
      await assertProgressTold(guest, attached);
    });
    await t.test("nothing is found afterwards", async () => {
      await silentDuring(guest, look, "true");
    });
  });
}

/** Busy ones of a guest that is paused stand still; they get on when it runs again. */
async function assertProgressTold(guest: Guest, attached: Attached): Promise<void> {
  const busy = guest.run("for cpu in 0 1; do timeout 3 sh -c 'while :; do :; done' & done; wait");
  const { kernel } = attached;
  const moved = async (since: ProcessorProgress): Promise<boolean> => {
    await pause(20);
    kernel.refresh();
    return since.moved();
  };
  let told = false;
  for (let tries = 0; tries < 50 && !told; tries++) {
    await guest.qmp("stop");
    kernel.refresh();
    const standing = new ProcessorProgress(kernel);
    told = !(await moved(standing));
    if (told) assert.equal(await moved(standing), false);
    await guest.qmp("cont");
    if (!told) continue;
    while (!(await moved(standing)));
  }
  assert.ok(told, "a busy processor of a paused guest was taken for one that gets on");
  await busy;
}
