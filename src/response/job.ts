import { randomUUID } from "node:crypto";
import { KvmsecError } from "../base/errors.ts";
import type { Home } from "../vm/home.ts";
import { isRunning, processIdentity } from "../vm/process-identity.ts";
import type { ProcessIdentity } from "../vm/process-identity.ts";
import { Journal } from "./journal.ts";
import type { JournalEntry } from "./journal.ts";

/** What a job does. */
export type Action =
  | "freeze"
  | "resume"
  | "isolate"
  | "rejoin"
  | "kill"
  | "restart"
  | "shutdown"
  | "capture"
  | "restore"
  | "save-clean"
  | "snapshot"
  | "snapshot-restore"
  | "snapshot-delete"
  | "write"
  | "repair"
  | "kill-process"
  | "compress"
  | "expand";

/** Steps between which a guest has no way back: its QEMU is about to be ended, the next one has it. */
export const steps = { ended: "quit", back: "back" } as const;

/** One action upon one guest, on record from before it starts. */
export type Job = {
  readonly id: string;
  readonly action: Action;
  /** Writes down what is about to be done. */
  step(name: string, data?: JournalEntry["data"]): Promise<void>;
};

/** Whom a job is about. */
export type JobTarget = { readonly text: string; readonly identity: ProcessIdentity };

/** A job that began and of whose end nothing is written, and whose worker is gone. */
export type PendingJob = {
  readonly id: string;
  readonly action: Action;
  readonly target: JobTarget;
  /** What `runJob` was given. */
  readonly data: JournalEntry["data"];
  readonly steps: readonly { readonly name: string; readonly data: JournalEntry["data"] }[];
};

/**
 * Does the work of a job between its first and its last entry. What it throws is the job's end too,
 * but for the time in which the guest has no way back: then, as after a death in between, the job
 * stays open, for `pendingJobs`.
 */
export async function runJob<Result>(
  home: Home,
  action: Action,
  target: JobTarget,
  work: (job: Job) => Promise<Result>,
  data: JournalEntry["data"] = {},
): Promise<Result> {
  const journal = new Journal(home);
  const id = randomUUID();
  const worker = processIdentity(process.pid);
  const { text, identity } = target;
  await journal.append("begin", id, { action, target: { text, identity }, worker, ...data });
  let noReturn = false;
  const job: Job = {
    id,
    action,
    step: async (name, data = {}) => {
      // Written or not: nothing may be done after it that is not on record.
      if (name === steps.ended) noReturn = true;
      await journal.append("step", id, { name, ...data });
      if (name === steps.back) noReturn = false;
    },
  };
  try {
    const result = await work(job);
    await journal.append("end", id, { result: "done" });
    return result;
  } catch (error) {
    const code = error instanceof KvmsecError ? error.code : "KVMSEC_INTERNAL";
    const message = error instanceof Error ? error.message : String(error);
    const failure = { code, message: message.slice(0, 2000) };
    if (noReturn) await journal.append("step", id, { name: "failed", ...failure });
    else await journal.append("end", id, { result: "failed", ...failure });
    throw error;
  }
}

type OpenJob = PendingJob & { readonly worker: ProcessIdentity };

/** The steps after which a QEMU ends, or its guest was asked to end. */
const ENDING_STEPS: ReadonlySet<unknown> = new Set(["quit", "ask"]);

/** The action by which somebody ended that very QEMU; undefined where nobody ordered it. */
export function orderedEnd(
  home: Home,
  { pid, startTime, bootId }: ProcessIdentity,
): Action | undefined {
  const begun = new Map<string, Action>();
  let ordered: Action | undefined;
  for (const { kind, job, data } of new Journal(home).read()) {
    if (kind === "begin") {
      const { action, target } = data as { action: Action; target: JobTarget };
      const { identity } = target;
      if (identity.pid !== pid || identity.startTime !== startTime) continue;
      if (identity.bootId !== bootId) continue;
      begun.set(job, action);
      if (action === "kill") ordered = action;
    } else if (kind === "step" && ENDING_STEPS.has(data["name"]))
      ordered = begun.get(job) ?? ordered;
  }
  return ordered;
}

/** Jobs that were cut short, the oldest first. */
export function pendingJobs(home: Home): PendingJob[] {
  return openJobs(home).filter(({ worker }) => !isRunning(worker));
}

/** How many jobs somebody is at. */
export function jobsAtWork(home: Home): number {
  return openJobs(home).filter(({ worker }) => isRunning(worker)).length;
}

function openJobs(home: Home): OpenJob[] {
  const open = new Map<string, OpenJob>();
  for (const { kind, job, data } of new Journal(home).read()) {
    if (kind === "begin") {
      const { action, target, worker, ...rest } = data as JournalEntry["data"] & {
        action: Action;
        target: JobTarget;
        worker: ProcessIdentity;
      };
      open.set(job, { id: job, action, target, worker, data: rest, steps: [] });
    } else if (kind === "end") open.delete(job);
    else if (kind === "step") {
      const before = open.get(job);
      if (before === undefined) continue;
      const { name, ...rest } = data as { name: string };
      open.set(job, { ...before, steps: [...before.steps, { name, data: rest }] });
    }
  }
  return [...open.values()];
}

/** Closes a job that was cut short. */
export async function settleJob(
  home: Home,
  { id }: PendingJob,
  result: "finished" | "undone" | "gone",
): Promise<void> {
  await new Journal(home).append("end", id, { result });
}
