import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { KvmsecError } from "../base/errors.ts";
import type { Reaction } from "../policy/schema.ts";
import { respond } from "../response/respond.ts";
import { findTarget } from "../vm/target.ts";
import { dueReactions } from "./approvals.ts";
import type { GuardContext } from "./guard-context.ts";
import { stillRuns } from "./guarded-guest.ts";
import type { GuardedGuest } from "./guarded-guest.ts";
import { Helper } from "./helper.ts";
import type { WorkAnswer, WorkOrder } from "./reaction-worker.ts";
import type { RecordedDecision } from "./recall.ts";

/** The longest of them boots a guest. */
const WORK_LIMIT_MS = 900_000;
const TRIES = 3;

/**
 * Carries out what a decision still leaves to be done, in its order. Each is on record before it
 * begins and when it is over; the first that fails ends the list, so that nothing is restored of
 * which the evidence was not taken. Returns once all is over; never rejects for a reaction.
 */
export async function carryOut(
  context: GuardContext,
  guest: GuardedGuest,
  record: RecordedDecision,
): Promise<void> {
  for (const reaction of dueReactions(record)) {
    if (record.settled.has(reaction)) continue;
    if (!(await one(context, guest, record, reaction))) {
      giveUpRest(context, guest, record);
      return;
    }
  }
}

async function one(
  context: GuardContext,
  guest: GuardedGuest,
  record: RecordedDecision,
  reaction: Reaction,
): Promise<boolean> {
  const tell = (state: string, more: object = {}) =>
    tellReaction(context, guest, record, reaction, { state, ...more });
  if (reaction === "observe") return tell("done");
  if (reaction === "alert") {
    const { rule, findings } = record.decision;
    context.tell("alert", guest, { rule, findings });
    return tell("done");
  }
  const begun = record.folders.get(reaction);
  // The package appears whole or not at all: what is there was done by a guard that ended right then.
  if (begun !== undefined && existsSync(begun)) return tell("done", { folder: begun });
  const folder = reaction === "capture" ? (begun ?? evidenceFolder(context, guest)) : undefined;
  const place = folder === undefined ? {} : { folder };
  if (begun === undefined) tell("begun", place);
  try {
    return tell("done", {
      ...place,
      outcome: await attempt(context, guest, record, reaction, folder),
    });
  } catch (error) {
    const code = error instanceof KvmsecError ? error.code : "KVMSEC_INTERNAL";
    const message = error instanceof Error ? error.message : String(error);
    tell("failed", { code, message });
    context.tell("alert", guest, { reaction, failed: message });
    return false;
  }
}

function giveUpRest(context: GuardContext, guest: GuardedGuest, record: RecordedDecision): void {
  for (const reaction of dueReactions(record)) {
    if (record.settled.has(reaction)) continue;
    tellReaction(context, guest, record, reaction, { state: "given-up" });
  }
}

function tellReaction(
  context: GuardContext,
  guest: GuardedGuest,
  { number }: RecordedDecision,
  reaction: Reaction,
  more: object,
): true {
  return context.tell("reaction", guest, { run: guest.run, decision: number, reaction, ...more });
}

/** Somebody else may be working on the guest, and a monitor may be slow: it is tried again. */
async function attempt(
  context: GuardContext,
  guest: GuardedGuest,
  record: RecordedDecision,
  reaction: Reaction,
  folder: string | undefined,
): Promise<unknown> {
  for (let left = TRIES; ; left--) {
    try {
      return await carry(context, guest, record, reaction, folder);
    } catch (error) {
      if (left <= 1 || !stillRuns(guest)) throw error;
      await sleep(200);
    }
  }
}

function carry(
  { home, recall }: GuardContext,
  guest: GuardedGuest,
  { decision }: RecordedDecision,
  reaction: Reaction,
  folder: string | undefined,
): Promise<unknown> {
  const target = `pid:${guest.identity.pid}`;
  mustBeTheSame(guest, target);
  if (reaction === "freeze" || reaction === "isolate") return respond(home, target, reaction);
  if (folder !== undefined) return work({ work: "capture", target, folder });
  if (reaction === "repair" || reaction === "kill-process") {
    const lives = recall.runs.get(guest.run)?.lives;
    const findings = decision.findings.flatMap((id) => lives?.get(id)?.finding ?? []);
    const kernelFile = guest.kernelFile ?? null;
    return work({ work: reaction, target, findings, kernelFile, decidedAt: +decision.at });
  }
  const vm = guest.vm ?? null;
  if (reaction === "shutdown") return work({ work: "shutdown", target, vm });
  if (reaction === "restart") return work({ work: "restart", target });
  if (vm === null) {
    throw new KvmsecError(
      "KVMSEC_REACTION_IMPOSSIBLE",
      `${guest.name} is no VM of kvmsec, so kvmsec cannot ${reaction} it.`,
    );
  }
  return work({ work: "restore", vm });
}

/** The pid may be another's by now. */
function mustBeTheSame(guest: GuardedGuest, target: string): void {
  if (stillRuns(guest) && findTarget(target).kind === "qemu") return;
  throw new KvmsecError("KVMSEC_TARGET_GONE", `The guest ${guest.name} has ended.`);
}

/** Has a worker do it, in a process of its own. */
export async function work(order: WorkOrder): Promise<Readonly<Record<string, unknown>>> {
  using helper = new Helper("reaction-worker", order);
  const reply = await helper.ask<WorkAnswer>({}, WORK_LIMIT_MS);
  if (reply.ended !== undefined) {
    throw new KvmsecError("KVMSEC_WORKER_ENDED", `The worker ended: ${reply.ended}`);
  }
  if (reply.answer.ok) return reply.answer.outcome;
  throw new KvmsecError(asCode(reply.answer.code), reply.answer.message);
}

function asCode(code: string): `KVMSEC_${string}` {
  return code.startsWith("KVMSEC_") ? `KVMSEC_${code.slice(7)}` : "KVMSEC_INTERNAL";
}

function evidenceFolder({ home, config }: GuardContext, { name }: GuardedGuest): string {
  const time = new Date().toISOString().replaceAll(/[:.]/g, "-");
  const safe = name.replaceAll(/[^A-Za-z0-9_-]/g, "-");
  return join(config.evidence ?? join(home.root, "evidence"), `${safe}-${time}`);
}
