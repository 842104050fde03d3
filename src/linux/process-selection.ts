import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { usageError } from "../base/errors.ts";
import type { Tasks } from "./task.ts";

/** Which processes a view is about: all, or those with these pids. */
export type ProcessSelection = { readonly pid?: readonly number[] };

/**
 * The leaders of the wanted processes, in the order of the task list. A thread's id stands for its
 * process. Throws KVMSEC_NO_SUCH_PROCESS where one is wanted that is not there.
 */
export function selectProcesses(
  tasks: Tasks,
  selection: ProcessSelection,
  budget: Budget,
  problem?: (reason: string) => void,
): GuestVirtual[] {
  const leaders = tasks.processes(budget, problem);
  const { pid: wanted } = selection;
  if (wanted === undefined) return leaders;
  const byPid = new Map(leaders.map((leader) => [tasks.pid(leader), leader]));
  const found = wanted.map((pid) => byPid.get(pid) ?? leaderOf(tasks, leaders, pid, budget));
  const missing = wanted.find((_, index) => found[index] === undefined);
  if (missing !== undefined) {
    const hint = "kvmsec ps lists the processes of the guest.";
    throw usageError("KVMSEC_NO_SUCH_PROCESS", `The guest has no process ${missing}.`, hint);
  }
  return leaders.filter((leader) => found.includes(leader));
}

function leaderOf(
  tasks: Tasks,
  leaders: readonly GuestVirtual[],
  tid: number,
  budget: Budget,
): GuestVirtual | undefined {
  return leaders.find((leader) =>
    tasks.threads(leader, budget).some((thread) => tasks.pid(thread) === tid),
  );
}

/**
 * A pointer of the whole process (`mm`, `files`): the leader's, or,
 * where the leader has exited and let go of it, another thread's; undefined where none has it.
 */
export function heldByGroup(
  tasks: Tasks,
  leader: GuestVirtual,
  member: (task: GuestVirtual) => GuestVirtual,
  budget: Budget,
): GuestVirtual | undefined {
  const own = member(leader);
  if (own < 0) return own;
  if (tasks.threadCount(leader) <= 1) return undefined;
  return tasks
    .threads(leader, budget)
    .map(member)
    .find((pointer) => pointer < 0);
}
