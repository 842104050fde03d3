import { rmSync } from "node:fs";
import type { QmpConnection } from "../qmp/connection.ts";
import type { Home } from "../vm/home.ts";
import { isRunning } from "../vm/process-identity.ts";
import { withVm } from "../vm/vm-lock.ts";
import { findConfig } from "../vm/vm-state.ts";
import { freeze, resume } from "./freeze.ts";
import { controlGuest, lockGuest, monitorOf } from "./guest-control.ts";
import type { ControlledGuest } from "./guest-control.ts";
import { undoJob } from "./guest-write.ts";
import { setLinks } from "./isolate.ts";
import { SETTINGS_STEP } from "./one-stop.ts";
import { setMigration } from "./migration-settings.ts";
import type { MigrationSettings } from "./migration-settings.ts";
import type { Inspect } from "./inspection.ts";
import { pendingJobs, settleJob } from "./job.ts";
import type { Action, PendingJob } from "./job.ts";
import { finishRestart } from "./power.ts";
import { endGuest } from "./respond.ts";
import { restore } from "./restore.ts";
import { removePartialState, removeState } from "./saved-state.ts";
import { settleStorageJob } from "./storage-job.ts";
import { restoreSnapshot } from "./snapshot.ts";

/** What became of a job that was cut short. */
export type Settled = {
  readonly job: string;
  readonly action: Action;
  readonly target: string;
  /** `finished`: done now; `undone`: as if it had never begun; `gone`: its guest has ended; `open`: it could not be settled now. */
  readonly result: "finished" | "undone" | "gone" | "open";
  /** Why it is open still. */
  readonly message?: string;
};

type Outcome = Exclude<Settled["result"], "open">;

/** Finishes or undoes what an earlier kvmsec began and did not live to end. */
export async function settlePending(home: Home, inspect: Inspect): Promise<Settled[]> {
  const settled: Settled[] = [];
  for (const job of pendingJobs(home)) {
    const about = { job: job.id, action: job.action, target: job.target.text };
    try {
      const result = await settle(home, job, inspect);
      await settleJob(home, job, result);
      settled.push({ ...about, result });
    } catch (error) {
      // The others are not to wait for it; whoever comes next tries again.
      const message = error instanceof Error ? error.message : String(error);
      settled.push({ ...about, result: "open", message });
    }
  }
  return settled;
}

async function settle(home: Home, job: PendingJob, inspect: Inspect): Promise<Outcome> {
  if (job.action === "restore") return settleRestore(home, job, inspect);
  if (job.action === "snapshot-restore") return settleSnapshotRestore(home, job);
  if (job.action === "restart") {
    return finishRestart(home, job.data["vm"] as string | null, job.target.identity, job.steps);
  }
  if (job.action === "snapshot-delete") return settleDeletion(home, job);
  if (job.action === "compress" || job.action === "expand") return settleStorageJob(home, job);
  if (job.action === "capture") removePartial(job);
  if (job.action === "snapshot" || job.action === "save-clean") removeHalfState(home, job);
  const settler = settlers[job.action];
  if (settler === undefined) return "undone";
  if (!isRunning(job.target.identity)) return job.action === "kill" ? "finished" : "gone";
  const guest = controlGuest(home, `pid:${job.target.identity.pid}`);
  using held = new DisposableStack();
  held.use(await lockGuest(home, guest, `respond (${job.action}, cut short before)`));
  return await settler(guest, job, home);
}

type Settler = (guest: ControlledGuest, job: PendingJob, home: Home) => Promise<Outcome>;

/** What is asked for twice is as done as what is asked for once. What has no entry needs nothing. */
const settlers: Partial<Record<Action, Settler>> = {
  freeze: (guest) => finish(guest, freeze),
  resume: (guest) => finish(guest, resume),
  isolate: (guest) => finish(guest, (monitor) => setLinks(monitor, false)),
  rejoin: (guest) => finish(guest, (monitor) => setLinks(monitor, true)),
  kill: async (guest, _job, home) => {
    await endGuest(home, guest);
    return "finished";
  },
  write: async (guest, job) => {
    await undoJob(guest, job);
    return "undone";
  },
  repair: takeBack,
  "kill-process": takeBack,
  capture: letRunOn,
  "save-clean": letRunOn,
  snapshot: letRunOn,
};

async function finish(
  guest: ControlledGuest,
  work: (monitor: QmpConnection) => Promise<unknown>,
): Promise<"finished"> {
  using monitor = await monitorOf(guest);
  await work(monitor);
  return "finished";
}

/**
 * What was written into a guest that stands still is taken back. One that runs was let go on after
 * all had been written: what has happened in its memory since is its own.
 */
async function takeBack(guest: ControlledGuest, job: PendingJob): Promise<"undone" | "finished"> {
  {
    using monitor = await monitorOf(guest);
    const { running } = await monitor.execute("query-status");
    if (running) return "finished";
  }
  await undoJob(guest, job);
  return letRunOn(guest, job);
}

/** A guest that was stopped only to be copied runs on. */
async function letRunOn(guest: ControlledGuest, job: PendingJob): Promise<"undone"> {
  const stopped = job.steps.find(({ name }) => name === "stop");
  using monitor = await monitorOf(guest);
  if (stopped?.data["wasRunning"] === true) {
    const { running } = await monitor.execute("query-status");
    if (!running) await resume(monitor);
  }
  await settingsBack(monitor, job);
  return "undone";
}

/** What its QEMU was told about migrations is again what somebody else had told it. */
async function settingsBack(monitor: QmpConnection, { steps }: PendingJob): Promise<void> {
  const found = steps.find(({ name }) => name === SETTINGS_STEP)?.data;
  if (found !== undefined) await setMigration(monitor, found as MigrationSettings);
}

/**
 * Before `quit` nothing was done to the guest but to freeze it, and so it stays. From there on it has
 * no way back: what was begun is done once more.
 */
async function settleRestore(
  home: Home,
  { data, steps, target }: PendingJob,
  inspect: Inspect,
): Promise<Outcome> {
  if (!steps.some(({ name }) => name === "quit")) return "undone";
  if (findConfig(home, target.text) === undefined) return "gone";
  const { cold, state } = data as { cold: boolean; state: string | null };
  await restore(home, target.text, { inspect, cold, state: state ?? undefined, evidence: false });
  return "finished";
}

async function settleSnapshotRestore(home: Home, { data, steps }: PendingJob): Promise<Outcome> {
  if (!steps.some(({ name }) => name === "quit")) return "undone";
  const { vm, name } = data as { vm: string; name: string };
  if (findConfig(home, vm) === undefined) return "gone";
  await restoreSnapshot(home, vm, name);
  return "finished";
}

async function settleDeletion(home: Home, { data }: PendingJob): Promise<Outcome> {
  const { vm, name } = data as { vm: string; name: string };
  if (findConfig(home, vm) === undefined) return "gone";
  await withVm(home, vm, `snapshot delete ${vm} ${name}`, async () => removeState(home, vm, name));
  return "finished";
}

/** The state that was being made. */
function removeHalfState(home: Home, { data }: PendingJob): void {
  const { vm, name } = data as { vm?: string; name?: string };
  if (vm !== undefined && name !== undefined) removePartialState(home, vm, name);
}

/** The half-made package: the job's own folder, named in the journal before it was made. */
function removePartial(job: PendingJob): void {
  const partial = job.data["partial"];
  if (typeof partial === "string" && /\.partial-[0-9a-f-]{36}$/.test(partial)) {
    rmSync(partial, { recursive: true, force: true });
  }
}
