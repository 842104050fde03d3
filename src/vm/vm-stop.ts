import { setTimeout as sleep } from "node:timers/promises";
import { KvmsecError, usageError } from "../base/errors.ts";
import { connectQmp } from "../qmp/connection.ts";
import { qmpErrorCodes } from "../qmp/errors.ts";
import type { RunState } from "../qmp/generated.ts";
import { openHome } from "./home.ts";
import type { Home } from "./home.ts";
import { isRunning, signalProcess } from "./process-identity.ts";
import { withVm } from "./vm-lock.ts";
import { clearAfter } from "./vm-start.ts";
import { findRun } from "./vm-state.ts";
import type { VmConfig, VmPaths, VmRun } from "./vm-state.ts";

export type StopOptions = {
  /** Ends QEMU at once, as pulling the plug would. */
  readonly force?: boolean;
  /** How long the guest may take to shut itself down; 90 s unless told. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  readonly onStage?: (text: string) => void;
};

/** A guest whose login service is not up yet misses the power button, so it is pressed again. */
const PRESS_AGAIN_MS = 4000;
const LOOK_MS = 50;

/**
 * Stops a VM: the guest is asked to shut down, and QEMU goes when it is done. With `force` QEMU is
 * ended at once. Throws KVMSEC_VM_NOT_RUNNING, KVMSEC_VM_PAUSED, KVMSEC_VM_STOP_TIMEOUT.
 */
export function stopVm(
  name: string,
  options: StopOptions = {},
  home: Home = openHome(),
): Promise<void> {
  return withVm(home, name, "vm stop", async (config, paths) => {
    const run = findRun(home, config);
    if (run === undefined) throw usageError("KVMSEC_VM_NOT_RUNNING", `${name} does not run.`);
    await (options.force === true ? end(paths, run) : shutDown(config, paths, run, options));
    clearAfter(paths, config, run);
  });
}

async function shutDown(
  config: VmConfig,
  paths: VmPaths,
  run: VmRun,
  options: StopOptions,
): Promise<void> {
  const { timeoutMs = 90_000, onStage = () => {}, signal } = options;
  const deadline = Date.now() + timeoutMs;
  const status = await runState(paths);
  if (status === "shutdown") return end(paths, run);
  if (status !== "running") throw cannotListen(config, status);
  onStage("asking the guest to shut down");
  let pressed = 0;
  while (isRunning(run)) {
    if (signal?.aborted === true) throw stillRunning(config, "kvmsec was interrupted");
    if (Date.now() > deadline) {
      throw stillRunning(config, `it did not shut down within ${timeoutMs / 1000} s`);
    }
    if (Date.now() - pressed > PRESS_AGAIN_MS) {
      pressed = Date.now();
      await pressPowerButton(paths, run);
    }
    await sleep(LOOK_MS);
  }
}

async function runState(paths: VmPaths): Promise<RunState> {
  using connection = await connectQmp(paths.operator);
  return (await connection.execute("query-status")).status;
}

/**
 * QEMU may go away in the middle of it, which is what is wanted. The connection does not stay, so
 * that others can look at the guest while it shuts down.
 */
async function pressPowerButton(paths: VmPaths, run: VmRun): Promise<void> {
  try {
    using connection = await connectQmp(paths.operator, { timeoutMs: PRESS_AGAIN_MS });
    await connection.execute("system_powerdown");
  } catch (error) {
    const busy = error instanceof KvmsecError && error.code === qmpErrorCodes.busy;
    if (!busy && !(await isGone(run, 1000))) throw error;
  }
}

/** Ends that QEMU: by QMP, so that its disk is closed in order, else by signals. */
async function end(paths: VmPaths, run: VmRun): Promise<void> {
  try {
    using connection = await connectQmp(paths.operator, { timeoutMs: 1000 });
    await connection.execute("quit");
  } catch {
    // Its monitor is busy or hangs.
    signalProcess(run, "SIGTERM");
  }
  if (await isGone(run, 3000)) return;
  signalProcess(run, "SIGKILL");
  if (await isGone(run, 10_000)) return;
  throw new KvmsecError("KVMSEC_VM_STOP_FAILED", `QEMU (pid ${run.pid}) cannot be ended.`, {
    hint: "It may wait for a disk that does not answer; the host's kernel log may tell.",
  });
}

async function isGone(run: VmRun, withinMs: number): Promise<boolean> {
  const deadline = Date.now() + withinMs;
  while (isRunning(run)) {
    if (Date.now() > deadline) return false;
    await sleep(10);
  }
  return true;
}

function cannotListen({ name }: VmConfig, status: RunState): KvmsecError {
  return new KvmsecError(
    "KVMSEC_VM_PAUSED",
    `${name} is ${status}, so its guest cannot shut itself down.`,
    { hint: `End it as it is: kvmsec vm stop ${name} --force` },
  );
}

function stillRunning({ name }: VmConfig, why: string): KvmsecError {
  return new KvmsecError("KVMSEC_VM_STOP_TIMEOUT", `${name} still runs: ${why}.`, {
    hint: `Give it longer (--timeout), or end it: kvmsec vm stop ${name} --force`,
  });
}
