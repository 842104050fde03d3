import { closeSync, ftruncateSync, openSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { KvmsecError, usageError } from "../base/errors.ts";
import { setTimeout as sleep } from "node:timers/promises";
import type { QmpConnection } from "../qmp/connection.ts";
import { attach } from "../vm/guest.ts";
import type { Home } from "../vm/home.ts";
import { openImage } from "../vm/images.ts";
import { newCleanFolder, placeCleanState } from "./clean-state.ts";
import type { CleanState } from "./clean-state.ts";
import { freeze, resume } from "./freeze.ts";
import { controlGuest, lockGuest, monitorOf } from "./guest-control.ts";
import type { ControlledGuest } from "./guest-control.ts";
import { GuestCopy } from "./guest-copy.ts";
import type { Inspect, Inspection } from "./inspection.ts";
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
    await freezeClean(home, guest, monitor, vm.config.image, inspect);
    await copyInto(guest, monitor, folder, job);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  } finally {
    await settleRun(monitor, running);
  }
  const pauseMs = performance.now() - start;
  const { accelerator } = vm.run;
  const state = placeCleanState(home, folder, { config: vm.config, accelerator, verdict: "clean" });
  return { state, pauseMs };
}

/**
 * Leaves the guest frozen at a moment that a sweep calls clean. A moment may look wrong only because
 * it is one in the middle of something, such as the loading of a module, and a guest that stands
 * still shows it for ever: so what was found has to be there in the running guest too.
 */
async function freezeClean(
  home: Home,
  { text, identity }: ControlledGuest,
  monitor: QmpConnection,
  image: string,
  inspect: Inspect,
): Promise<void> {
  const { vmlinuz } = openImage(home, image);
  using looked = await attach(`pid:${identity.pid}`);
  for (let tries = 1; ; tries++) {
    await freeze(monitor);
    const still = await inspect(looked, vmlinuz);
    if (still.verdict === "clean") return;
    await resume(monitor);
    const running = await inspect(looked, vmlinuz);
    if (running.verdict !== "clean") throw notClean(text, running);
    if (tries === MAX_TRIES) throw notClean(text, still);
    await sleep(PAUSE_MS);
  }
}

const MAX_TRIES = 5;
const PAUSE_MS = 500;

function notClean(text: string, { verdict, reasons }: Inspection): KvmsecError {
  const dirty = verdict === "tampered";
  return new KvmsecError(
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
  monitor: QmpConnection,
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

/** Leaves the guest as it was found: running, or standing still. */
async function settleRun(monitor: QmpConnection, running: boolean): Promise<void> {
  if (running) await resume(monitor);
  else await freeze(monitor);
}
