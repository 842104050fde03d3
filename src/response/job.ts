import { randomUUID } from "node:crypto";
import { KvmsecError } from "../base/errors.ts";
import type { Home } from "../vm/home.ts";
import { canAct, processIdentity } from "../vm/process-identity.ts";
import type { ProcessIdentity } from "../vm/process-identity.ts";
import { Journal } from "./journal.ts";
import type { JobTarget } from "./journal-entry.ts";

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

/** What else is told of a job or a step of it. */
export type JobData = Readonly<Record<string, unknown>>;

/** One action upon one guest, on record from before it starts. */
export type Job = {
  readonly id: string;
  readonly action: Action;
  /** Writes down what is about to be done. */
  step(name: string, data?: JobData): Promise<void>;
};

/** A job that began and of whose end nothing is written, and whose worker is gone. */
export type PendingJob = {
  readonly id: string;
  readonly action: Action;
  readonly target: JobTarget;
  /** What `runJob` was given. */
  readonly data: JobData;
  readonly steps: readonly { readonly name: string; readonly data: JobData }[];
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
  data: JobData = {},
): Promise<Result> {
  const journal = new Journal(home);
  const id = randomUUID();
  const worker = processIdentity(process.pid);
  const { text, identity } = target;
  const begin = { action, target: { text, identity }, worker, ...data };
  await journal.append({ kind: "begin", job: id, data: begin });
  let noReturn = false;
  const job: Job = {
    id,
    action,
    step: async (name, data = {}) => {
      // Written or not: nothing may be done after it that is not on record.
      if (name === steps.ended) noReturn = true;
      await journal.append({ kind: "step", job: id, data: { name, ...data } });
      if (name === steps.back) noReturn = false;
    },
  };
  try {
    const result = await work(job);
    await journal.append({ kind: "end", job: id, data: { result: "done" } });
    return result;
  } catch (error) {
    const code = error instanceof KvmsecError ? error.code : "KVMSEC_INTERNAL";
    const message = error instanceof Error ? error.message : String(error);
    const failure = { code, message: message.slice(0, 2000) };
    await journal.append(
      noReturn
        ? { kind: "step", job: id, data: { name: "failed", ...failure } }
        : { kind: "end", job: id, data: { result: "failed", ...failure } },
    );
    throw error;
  }
}

type OpenJob = PendingJob & { readonly worker: ProcessIdentity | undefined };

/** The steps after which a QEMU ends, or its guest was asked to end. */
const ENDING_STEPS: ReadonlySet<unknown> = new Set(["quit", "ask"]);

/** The action by which somebody ended that very QEMU; undefined where nobody ordered it. */
export function orderedEnd(
  home: Home,
  { pid, startTime, bootId }: ProcessIdentity,
): string | undefined {
  const begun = new Map<string, string>();
  let ordered: string | undefined;
  for (const { kind, job, data } of new Journal(home).read()) {
    if (kind === "begin") {
      const { identity } = data.target;
      if (identity.pid !== pid || identity.startTime !== startTime) continue;
      if (identity.bootId !== bootId) continue;
      begun.set(job, data.action);
      if (data.action === "kill") ordered = data.action;
    } else if (kind === "step" && ENDING_STEPS.has(data.name)) ordered = begun.get(job) ?? ordered;
  }
  return ordered;
}

/** Jobs that were cut short, the oldest first. */
export function pendingJobs(home: Home): PendingJob[] {
  return openJobs(home).filter((job) => !isAtWork(job));
}

/** How many jobs somebody is at. */
export function jobsAtWork(home: Home): number {
  return openJobs(home).filter(isAtWork).length;
}

function isAtWork({ worker }: OpenJob): boolean {
  return worker !== undefined && canAct(worker);
}

function openJobs(home: Home): OpenJob[] {
  const open = new Map<string, OpenJob>();
  for (const { kind, job, data } of new Journal(home).read()) {
    if (kind === "begin") {
      const { action, target, worker, ...rest } = data;
      // One that this kvmsec does not know has nothing that it could settle.
      const known = action as Action;
      open.set(job, { id: job, action: known, target, worker, data: rest, steps: [] });
    } else if (kind === "end") open.delete(job);
    else if (kind === "step") {
      const before = open.get(job);
      if (before === undefined) continue;
      const { name, ...rest } = data;
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
  await new Journal(home).append({ kind: "end", job: id, data: { result } });
}
