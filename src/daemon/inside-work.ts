import { KvmsecError } from "../base/errors.ts";
import type { Finding } from "../checks/finding.ts";
import { killProcess } from "../response/kill-process.ts";
import { repair } from "../response/repair.ts";
import { attach } from "../vm/guest.ts";
import type { Guest } from "../vm/guest.ts";
import type { Home } from "../vm/home.ts";
import { filesOf } from "./inspect.ts";
import { planRepair } from "./repair-plan.ts";

/** Work inside a guest, about the findings of a decision. */
export type InsideOrder = {
  readonly work: "repair" | "kill-process";
  readonly target: string;
  readonly findings: readonly Finding[];
  readonly kernelFile: string | null;
  /** When it was decided, in milliseconds since 1970. */
  readonly decidedAt: number;
};

type Outcome = Readonly<Record<string, unknown>>;

/**
 * Repairs each finding of a decision that can be; those that are gone by themselves need it no more.
 * Throws where one cannot be repaired.
 */
export async function repairAll(home: Home, order: InsideOrder): Promise<Outcome> {
  using guest = await attach(order.target);
  const files = filesOf(guest, order.kernelFile ?? undefined);
  const repaired: string[] = [];
  const gone: string[] = [];
  for (const { id } of order.findings) {
    try {
      const plan = planRepair(guest.kernel, files, id);
      await repair(home, guest, plan);
      repaired.push(id);
    } catch (error) {
      // One edit may have been found by several checks, and the first repair mends it for all.
      if (!(error instanceof KvmsecError && error.code === "KVMSEC_FINDING_MISSING")) throw error;
      gone.push(id);
    }
  }
  return { repaired, gone };
}

/** Ends the processes that the findings of a decision are about. */
export async function killAll(home: Home, order: InsideOrder): Promise<Outcome> {
  const pids = new Set(order.findings.flatMap(({ subject }) => pidOf(subject["pid"])));
  if (pids.size === 0) {
    throw new KvmsecError(
      "KVMSEC_REACTION_IMPOSSIBLE",
      "No finding of the decision names a process.",
    );
  }
  using guest = await attach(order.target);
  const ended: object[] = [];
  for (const pid of pids) ended.push(await endOne(home, guest, pid, new Date(order.decidedAt)));
  return { processes: ended };
}

async function endOne(home: Home, guest: Guest, pid: number, startedBefore: Date): Promise<object> {
  try {
    const { comm, outcome, reason } = await killProcess(home, guest, pid, { startedBefore });
    return { pid, comm, outcome, reason };
  } catch (error) {
    const missing = error instanceof KvmsecError && error.code === "KVMSEC_NO_SUCH_PROCESS";
    if (!missing) throw error;
    return { pid, outcome: "gone" };
  }
}

function pidOf(value: unknown): number[] {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 1 ? [value] : [];
}
