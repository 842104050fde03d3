import { readFileSync } from "node:fs";
import { z } from "zod";
import { startTimeOf } from "./qemu-process.ts";

/** One process, also after its pid was given to another: pid, start time, and the host's boot. */
export type ProcessIdentity = {
  readonly pid: number;
  /** Clock ticks after the host's boot (proc(5), field 22 of /proc/PID/stat). */
  readonly startTime: number;
  /** /proc/sys/kernel/random/boot_id: start times begin anew with each boot. */
  readonly bootId: string;
};

const PF_EXITING = 0x4;

/** A process in a document. */
export const processShape = z.object({
  pid: z.int().nonnegative(),
  startTime: z.int().nonnegative(),
  bootId: z.string(),
});

/** Who runs under that pid now, or undefined where nobody does (a zombie runs no more). */
export function processIdentity(pid: number): ProcessIdentity | undefined {
  const stat = readStat(pid);
  if (stat === undefined || isZombie(stat)) return undefined;
  return { pid, startTime: startTimeOf(stat), bootId: bootId() };
}

function readStat(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
}

/** From field 3 on: what stands before, the name, may hold brackets and blanks. */
function fieldsOf(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

function isZombie(stat: string): boolean {
  return ["Z", "X"].includes(fieldsOf(stat)[0] ?? "");
}

/** A name for that very process, among all of this host and of its boots. */
export function runName({ pid, startTime, bootId }: ProcessIdentity): string {
  return `${pid}-${startTime}-${bootId.slice(0, 8)}`;
}

/** Whether that very process still runs. */
export function isRunning(identity: ProcessIdentity): boolean {
  const now = processIdentity(identity.pid);
  return now?.startTime === identity.startTime && now.bootId === identity.bootId;
}

/**
 * Whether that very process may still do something. One that was killed counts as a process for a
 * moment longer, its files closed and its locks free (field 9 of /proc/PID/stat has PF_EXITING,
 * include/linux/sched.h). With a pid alone: whoever has it.
 */
export function canAct(process: ProcessIdentity | number): boolean {
  if (typeof process !== "number" && !isRunning(process)) return false;
  const stat = readStat(typeof process === "number" ? process : process.pid);
  return stat !== undefined && !isZombie(stat) && (Number(fieldsOf(stat)[6]) & PF_EXITING) === 0;
}

/** Sends a signal to that very process; false where it is gone. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isRunning(identity)) return false;
  try {
    return process.kill(identity.pid, signal);
  } catch {
    return isRunning(identity);
  }
}

/** The words of its command line, or undefined where it is gone or hidden. */
export function processArguments(pid: number): string[] | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
  } catch {
    return undefined;
  }
}

function bootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
