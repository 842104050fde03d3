import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { KvmsecError } from "../base/errors.ts";
import type { QmpConnection } from "../qmp/connection.ts";
import type { Home } from "../vm/home.ts";
import { isRunning, signalProcess } from "../vm/process-identity.ts";
import { runTool } from "../vm/run-tool.ts";
import { VmRam } from "../vm/vm-ram.ts";
import { relaunch } from "../vm/vm-relaunch.ts";
import { chooseAccelerator, clearRemains, imageOf } from "../vm/vm-start.ts";
import { findRun } from "../vm/vm-state.ts";
import type { VmConfig, VmPaths, VmRun } from "../vm/vm-state.ts";
import { loadDeviceState } from "./device-state.ts";
import { resume } from "./freeze.ts";
import { setLinks } from "./isolate.ts";
import { steps } from "./job.ts";
import type { Job } from "./job.ts";
import { takeOut } from "./saved-state.ts";
import type { SavedState } from "./saved-state.ts";

export type PutBackOptions = {
  /** What is put back; without one the VM boots from its golden image. */
  readonly state: SavedState | undefined;
  /** Whether its network is there from the first step on. */
  readonly linked: boolean;
  /** Whether it is let run. */
  readonly running: boolean;
  readonly onStage: (text: string) => void;
};

/** What was put in the place of a VM's former guest. */
export type PutBack = {
  readonly run: VmRun;
  readonly monitor: QmpConnection;
  /** From the first preparation on. */
  readonly runningMs: number;
  /** The part of it in which there was no guest at all. */
  readonly downMs: number;
};

const GONE_MS = 10_000;

/**
 * Ends a VM's QEMU and starts another on a fresh disk, with the RAM and devices of a saved state or
 * from the golden image. All that is put back is copied and proved before anything is ended. The
 * caller holds the VM's lock and closes the monitor.
 */
export async function putBack(
  home: Home,
  config: VmConfig,
  paths: VmPaths,
  job: Job,
  options: PutBackOptions,
): Promise<PutBack> {
  const { state, onStage } = options;
  const start = performance.now();
  onStage("preparing disk and memory");
  await job.step("prepare", { state: state?.name ?? null });
  using next = await Next.prepare(home, config, paths, state);
  await job.step(steps.ended);
  const down = performance.now();
  const former = findRun(home, config);
  if (former !== undefined) await endQemu(former);
  clearRemains(paths, config);
  renameSync(next.disk, paths.disk);
  await job.step("start");
  onStage(options.linked ? "starting it" : "starting it without a network");
  const { run, monitor } = await startNext(home, config, paths, next, options);
  const now = performance.now();
  await onRecord(job, monitor);
  return { run, monitor, runningMs: now - start, downMs: now - down };
}

/** From here on a failure is one of a guest that is there. */
async function onRecord(job: Job, monitor: QmpConnection): Promise<void> {
  try {
    await job.step(steps.back);
  } catch (error) {
    monitor.close();
    throw error;
  }
}

/** What the next guest is started from. */
class Next implements Disposable {
  readonly disk: string;
  readonly devices: string;
  readonly ram: VmRam | undefined;

  private constructor({ folder }: VmPaths, ram: VmRam | undefined) {
    this.disk = join(folder, "disk.next.qcow2");
    this.devices = join(folder, "devices.next");
    this.ram = ram;
  }

  static async prepare(
    home: Home,
    config: VmConfig,
    paths: VmPaths,
    state: SavedState | undefined,
  ): Promise<Next> {
    const next = new Next(paths, state === undefined ? undefined : VmRam.make(config));
    try {
      await next.#fill(home, config, state);
      return next;
    } catch (error) {
      next[Symbol.dispose]();
      throw error;
    }
  }

  async #fill(home: Home, config: VmConfig, state: SavedState | undefined): Promise<void> {
    rmSync(this.disk, { force: true });
    if (state === undefined || this.ram === undefined) return makeOverlay(config, this.disk);
    const taken = await Promise.allSettled([
      takeOut(home, state, "ram.img", this.ram.fd),
      takeOut(home, state, "disk.qcow2", this.disk),
      takeOut(home, state, "device-state.bin", this.devices),
    ]);
    // Only when all have ended: whoever still writes would write into whatever gets the RAM's number.
    for (const each of taken) if (each.status === "rejected") throw each.reason;
  }

  [Symbol.dispose](): void {
    this.ram?.[Symbol.dispose]();
    for (const path of [this.disk, this.devices]) rmSync(path, { force: true });
  }
}

async function makeOverlay({ image }: VmConfig, disk: string): Promise<void> {
  // Relative, so that the whole home can be moved.
  const base = join("..", "..", "images", image, "disk.qcow2");
  await runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, disk]);
}

/** The guest is to be thrown away, so its QEMU may go at once. */
async function endQemu(run: VmRun): Promise<void> {
  signalProcess(run, "SIGKILL");
  const deadline = Date.now() + GONE_MS;
  while (isRunning(run)) {
    if (Date.now() > deadline) {
      throw new KvmsecError("KVMSEC_VM_STOP_FAILED", `QEMU (pid ${run.pid}) cannot be ended.`);
    }
    await sleep(1);
  }
}

/** Starts QEMU on what was prepared, sets its links while nothing runs yet, and lets it run. */
async function startNext(
  home: Home,
  config: VmConfig,
  paths: VmPaths,
  next: Next,
  { state, linked, running }: PutBackOptions,
): Promise<{ run: VmRun; monitor: QmpConnection }> {
  const { accelerator, reason } =
    state === undefined
      ? await chooseAccelerator(config)
      : { accelerator: state.accelerator, reason: "the state was saved under it" };
  const image = imageOf(home, config);
  const filled = next.ram;
  const machineType = state?.machineType;
  const relaunched = { config, image, paths, accelerator, reason, filled, machineType };
  const started = await relaunch(relaunched);
  try {
    if (state !== undefined) await loadDeviceState(started.monitor, next.devices);
    if (!linked) await setLinks(started.monitor, false);
    if (running) await resume(started.monitor);
    return started;
  } catch (error) {
    started.monitor.close();
    signalProcess(started.run, "SIGKILL");
    throw error;
  }
}
