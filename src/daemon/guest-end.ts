import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { KvmsecError } from "../base/errors.ts";
import { ending } from "../policy/schema.ts";
import { orderedEnd } from "../response/job.ts";
import type { GuardContext } from "./guard-context.ts";
import type { GuardedGuest } from "./guarded-guest.ts";
import type { MonitorWatch } from "./monitor-watch.ts";
import { work } from "./reactor.ts";

const LOG_LINES = 20;
const LOG_BYTES = 8192;
/** What QEMU wrote to its monitor before it went may still be on its way through the event loop. */
const LAST_WORDS_MS = 50;

/**
 * Puts on record how a run of a guest ended. Whatever was not ordered is an alert, and what is left
 * of the guest (its RAM as far as it is there, log, disk) is kept as evidence before it can be
 * started again.
 */
export async function tellEnd(
  context: GuardContext,
  guest: GuardedGuest,
  monitor: MonitorWatch | undefined,
  ram: number | undefined,
): Promise<void> {
  await sleep(LAST_WORDS_MS);
  const { ordered, how } = howEnded(context, guest, monitor);
  const log = ordered ? {} : { log: lastLines(guest.log) };
  if (!ordered) await keep(context, guest, ram);
  context.tell("guest-ended", guest, { run: guest.run, ordered, how, ...log });
  if (!ordered) context.tell("alert", guest, { ended: how, ...log });
}

function howEnded(
  context: GuardContext,
  guest: GuardedGuest,
  monitor: MonitorWatch | undefined,
): { ordered: boolean; how: string } {
  const { shutdown, panicked } = monitor?.ending ?? {};
  if (endedByGuard(context, guest)) return { ordered: true, how: "the guard ended it" };
  const order = orderedEnd(context.home, guest.identity);
  if (order !== undefined) return { ordered: true, how: `somebody ordered it (${order})` };
  if (panicked === true) return { ordered: false, how: "the guest's kernel panicked" };
  if (shutdown !== undefined) return { ordered: true, how: shutdown };
  const heard = monitor?.heard === true;
  const how = heard ? "QEMU ended without SHUTDOWN" : "QEMU ended; nobody heard its monitor";
  return { ordered: false, how };
}

/** Whether one of the guard's own reactions was to end this run, and did. */
function endedByGuard({ recall }: GuardContext, { run }: GuardedGuest): boolean {
  return recall.decisions.some(
    ({ decision, done }) => decision.run === run && [...ending].some((one) => done.has(one)),
  );
}

async function keep(
  context: GuardContext,
  guest: GuardedGuest,
  ram: number | undefined,
): Promise<void> {
  if (guest.vm === undefined) return;
  const path = ram === undefined ? null : `/proc/${process.pid}/fd/${ram}`;
  try {
    const evidence = context.config.evidence ?? null;
    const kept = await work({ work: "keep-end", vm: guest.vm, ram: path, evidence });
    if (kept["folder"] !== null) context.tell("evidence-kept", guest, { run: guest.run, ...kept });
  } catch (error) {
    const code = error instanceof KvmsecError ? error.code : "KVMSEC_INTERNAL";
    context.tell("alert", guest, { run: guest.run, notKept: `${code}: ${String(error)}` });
  }
}

/** The end of a file, for people who want to know why. */
function lastLines(path: string | undefined): string[] {
  if (path === undefined) return [];
  try {
    const fd = openSync(path, "r");
    try {
      const { size } = fstatSync(fd);
      const bytes = Buffer.alloc(Math.min(size, LOG_BYTES));
      readSync(fd, bytes, 0, bytes.length, size - bytes.length);
      return bytes.toString("utf8").trimEnd().split("\n").slice(-LOG_LINES);
    } finally {
      closeSync(fd);
    }
  } catch {
    return [];
  }
}
