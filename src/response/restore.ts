import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { KvmsecError } from "../base/errors.ts";
import type { QmpConnection } from "../qmp/connection.ts";
import { openConsole, waitForLogin } from "../vm/console-link.ts";
import { attach } from "../vm/guest.ts";
import { openVm } from "../vm/guest-vm.ts";
import type { Home } from "../vm/home.ts";
import { openImage } from "../vm/images.ts";
import { isRunning, signalProcess } from "../vm/process-identity.ts";
import type { ProcessIdentity } from "../vm/process-identity.ts";
import { runTool } from "../vm/run-tool.ts";
import { withVm } from "../vm/vm-lock.ts";
import { VmRam } from "../vm/vm-ram.ts";
import { relaunch } from "../vm/vm-relaunch.ts";
import { chooseAccelerator, clearRemains, imageOf } from "../vm/vm-start.ts";
import { findRun } from "../vm/vm-state.ts";
import type { VmConfig, VmPaths, VmRun } from "../vm/vm-state.ts";
import { capture } from "./capture.ts";
import { findCleanState, takeOut } from "./clean-state.ts";
import type { CleanState } from "./clean-state.ts";
import { loadDeviceState } from "./device-state.ts";
import { freeze, resume } from "./freeze.ts";
import type { Inspect, Inspection } from "./inspection.ts";
import { setLinks } from "./isolate.ts";
import { runJob } from "./job.ts";
import { respond } from "./respond.ts";
import type { Job } from "./job.ts";

export type RestoreOptions = {
  readonly inspect: Inspect;
  /** Where the package goes that is taken first; false: take none. */
  readonly evidence: string | false;
  /** Boot from the golden image although there is a clean state. */
  readonly cold?: boolean;
  readonly onStage?: ((text: string) => void) | undefined;
};

export type Restored = {
  readonly job: string;
  readonly from: "clean-state" | "golden-image";
  readonly run: VmRun;
  /** From the decision (the guest frozen, its evidence taken) to a clean guest that runs. */
  readonly runningMs: number;
  /** The part of it in which there was no guest at all. */
  readonly downMs: number;
  readonly verdict: Inspection["verdict"];
};

const BOOT_MS = 300_000;
const GONE_MS = 10_000;

/**
 * Puts a clean guest in the place of what a VM has become: freeze, evidence, its QEMU ended, a
 * fresh disk, and the saved clean state (or, without one, a boot from the golden image). It runs
 * without a network until a sweep has found it clean; if it is not, it is frozen.
 * Throws KVMSEC_CLEAN_STATE_UNVERIFIED, KVMSEC_RESTORE_UNCLEAN.
 */
export async function restore(
  home: Home,
  name: string,
  options: RestoreOptions,
): Promise<Restored> {
  const { onStage = () => {} } = options;
  const vm = openVm(name, home);
  // Before anything is done: a clean state that cannot be trusted is no reason to end a guest.
  if (options.cold !== true) findCleanState(home, vm.config);
  if (vm.run !== undefined) {
    onStage("freezing");
    await respond(home, name, "freeze");
  }
  if (vm.run !== undefined && options.evidence !== false) {
    await capture(home, name, options.evidence, options);
  }
  const target = { text: name, identity: vm.run ?? nobody };
  return runJob(
    home,
    "restore",
    target,
    (job) =>
      withVm(home, name, `respond ${name} restore`, (config, paths) =>
        putBack(home, config, paths, job, options),
      ),
    { name, cold: options.cold === true },
  );
}

/** In the place of a QEMU where none runs. */
const nobody: ProcessIdentity = { pid: 0, startTime: 0, bootId: "" };

async function putBack(
  home: Home,
  config: VmConfig,
  paths: VmPaths,
  job: Job,
  options: RestoreOptions,
): Promise<Restored> {
  const { onStage = () => {}, inspect, cold } = options;
  const start = performance.now();
  const state = cold === true ? undefined : findCleanState(home, config);
  onStage("preparing a clean disk and memory");
  await job.step("prepare", { from: state === undefined ? "golden-image" : "clean-state" });
  const next = nextFiles(paths);
  using ram = state === undefined ? undefined : VmRam.make(config);
  await prepare(home, config, state, next, ram);
  await job.step("quit");
  const down = performance.now();
  const former = findRun(home, config);
  if (former !== undefined) await endQemu(former);
  clearRemains(paths, config);
  renameSync(next.disk, paths.disk);
  await job.step("start");
  onStage("starting the clean guest without a network");
  const { run, monitor } = await startClean(home, config, paths, state, next, ram);
  using held = new DisposableStack();
  held.use(monitor);
  const runningMs = performance.now() - start;
  const downMs = performance.now() - down;
  onStage("proving it clean");
  await job.step("prove", { run });
  if (state === undefined) await untilBooted(home, config);
  const { verdict, reasons } = await look(home, run, config, inspect);
  if (verdict !== "clean") {
    await freeze(monitor);
    throw unclean(config.name, reasons);
  }
  await setLinks(monitor, true);
  const from = state === undefined ? "golden-image" : "clean-state";
  return { job: job.id, from, run, runningMs, downMs, verdict };
}

type NextFiles = { readonly disk: string; readonly devices: string };

function nextFiles({ folder }: VmPaths): NextFiles {
  return { disk: join(folder, "disk.next.qcow2"), devices: join(folder, "devices.next") };
}

async function prepare(
  home: Home,
  config: VmConfig,
  state: CleanState | undefined,
  next: NextFiles,
  ram: VmRam | undefined,
): Promise<void> {
  rmSync(next.disk, { force: true });
  if (state === undefined || ram === undefined) {
    const base = join("..", "..", "images", config.image, "disk.qcow2");
    await runTool("qemu-img", [
      "create",
      "-q",
      "-f",
      "qcow2",
      "-F",
      "qcow2",
      "-b",
      base,
      next.disk,
    ]);
    return;
  }
  takeOut(home, state, "disk.qcow2", next.disk);
  takeOut(home, state, "device-state.bin", next.devices);
  takeOut(home, state, "ram.img", ram.fd);
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

/** Starts QEMU on what was prepared, takes its links down while nothing runs yet, and lets it run. */
async function startClean(
  home: Home,
  config: VmConfig,
  paths: VmPaths,
  state: CleanState | undefined,
  next: NextFiles,
  filled: VmRam | undefined,
): Promise<{ run: VmRun; monitor: QmpConnection }> {
  const { accelerator, reason } =
    state === undefined
      ? await chooseAccelerator(config)
      : { accelerator: state.accelerator, reason: "the clean state was saved under it" };
  const image = imageOf(home, config);
  const started = await relaunch({ config, image, paths, accelerator, reason, filled });
  try {
    if (state !== undefined) {
      await loadDeviceState(started.monitor, next.devices);
      rmSync(next.devices);
    }
    await setLinks(started.monitor, false);
    await resume(started.monitor);
    return started;
  } catch (error) {
    started.monitor.close();
    signalProcess(started.run, "SIGKILL");
    throw error;
  }
}

async function untilBooted(home: Home, config: VmConfig): Promise<void> {
  using link = await openConsole(openVm(config.name, home), home);
  await waitForLogin(link, config.name, BOOT_MS);
}

async function look(
  home: Home,
  run: VmRun,
  config: VmConfig,
  inspect: Inspect,
): Promise<Inspection> {
  using guest = await attach(`pid:${run.pid}`);
  return await inspect(guest, openImage(home, config.image).vmlinuz);
}

function unclean(name: string, reasons: readonly string[]): KvmsecError {
  return new KvmsecError(
    "KVMSEC_RESTORE_UNCLEAN",
    `${name} was restored, but the sweep does not call it clean: ${reasons.join("; ")}`,
    {
      hint: `It is frozen and has no network. Restore it from its golden image: kvmsec respond ${name} restore --cold`,
      exit: 1,
    },
  );
}
