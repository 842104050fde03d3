import { closeSync, ftruncateSync, openSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { KvmsecError, usageError } from "../base/errors.ts";
import { attach } from "../vm/guest.ts";
import type { Home } from "../vm/home.ts";
import { openImage } from "../vm/images.ts";
import { newCleanFolder, placeCleanState } from "./clean-state.ts";
import type { CleanState } from "./clean-state.ts";
import { freeze, resume } from "./freeze.ts";
import { controlGuest, lockGuest, monitorOf } from "./guest-control.ts";
import type { ControlledGuest } from "./guest-control.ts";
import { GuestCopy } from "./guest-copy.ts";
import type { Inspect } from "./inspection.ts";
import { runJob } from "./job.ts";
import type { Job } from "./job.ts";

/** What a saving cost. */
export type SavedClean = { readonly state: CleanState; readonly pauseMs: number };

/**
 * Saves a running VM as it is (RAM, devices, disk), so that it can be put back within a fraction of
 * a second. It is swept while it stands still for it: only a moment that was found clean is saved.
 * Throws KVMSEC_CLEAN_STATE_DIRTY, KVMSEC_CLEAN_STATE_UNSURE.
 */
export async function saveCleanState(
  home: Home,
  name: string,
  inspect: Inspect,
): Promise<SavedClean> {
  const guest = controlGuest(home, name);
  using held = new DisposableStack();
  held.use(await lockGuest(home, guest, `vm save-clean ${name}`));
  return await runJob(home, "save-clean", guest, (job) => save(home, guest, job, inspect));
}

async function save(
  home: Home,
  guest: ControlledGuest,
  job: Job,
  inspect: Inspect,
): Promise<SavedClean> {
  const { vm } = guest;
  if (vm?.run === undefined) {
    throw usageError("KVMSEC_VM_MISSING", `${guest.text} is no VM of this home.`);
  }
  if (vm.run.ramPath === undefined && vm.ram.kind === "anonymous") {
    throw usageError(
      "KVMSEC_VM_RAM",
      `The RAM of ${vm.name} is private to QEMU and cannot be saved.`,
    );
  }
  const folder = newCleanFolder(home, vm.name);
  using monitor = await monitorOf(guest);
  const { running } = await monitor.execute("query-status");
  await job.step("stop", { wasRunning: running });
  const start = performance.now();
  try {
    await freeze(monitor);
    await mustBeClean(home, guest, vm.config.image, inspect);
    await copyInto(guest, monitor, folder, job);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  } finally {
    if (running) await resume(monitor);
  }
  const pauseMs = performance.now() - start;
  const { accelerator } = vm.run;
  const state = placeCleanState(home, folder, { config: vm.config, accelerator, verdict: "clean" });
  return { state, pauseMs };
}

async function mustBeClean(
  home: Home,
  { text, identity }: ControlledGuest,
  image: string,
  inspect: Inspect,
): Promise<void> {
  using looked = await attach(`pid:${identity.pid}`);
  const { verdict, reasons } = await inspect(looked, openImage(home, image).vmlinuz);
  if (verdict === "clean") return;
  const dirty = verdict === "tampered";
  throw new KvmsecError(
    dirty ? "KVMSEC_CLEAN_STATE_DIRTY" : "KVMSEC_CLEAN_STATE_UNSURE",
    `${text} is not saved as clean: ${reasons.join("; ")}`,
    {
      hint: "Only what a full sweep finds clean is saved: kvmsec check tells more.",
      exit: dirty ? 1 : 4,
    },
  );
}

async function copyInto(
  guest: ControlledGuest,
  monitor: Parameters<GuestCopy["take"]>[0],
  folder: string,
  job: Job,
): Promise<void> {
  using copy = new GuestCopy(guest);
  const fd = openSync(join(folder, "ram.img"), "wx", 0o400);
  try {
    ftruncateSync(fd, copy.size);
    const { disks } = await copy.take(monitor, folder, { fd, ramAt: 0 }, job);
    const [disk] = disks;
    if (disk === undefined || disks.length > 1) throw new Error("a VM has one disk");
    renameSync(join(folder, disk.file), join(folder, "disk.qcow2"));
  } finally {
    closeSync(fd);
  }
}
