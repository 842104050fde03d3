import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import type { Tasks } from "./task.ts";
import type { Thread, ThreadDecoder } from "./thread.ts";

/** A running process starts and ends threads; a moment later they stand still. */
const ATTEMPTS = 4;

/**
 * The threads of a process, its leader first; none where it has ended. Each is looked at twice: one
 * that is not in the group any more, or not the one it was, has ended and its memory may be another's.
 * (A task that is just being made is a copy of its maker, id and all, until it is linked.)
 */
export function groupThreads(
  kernel: Kernel,
  { tasks, decoder }: { readonly tasks: Tasks; readonly decoder: ThreadDecoder },
  leader: GuestVirtual,
  budget: Budget,
  problem?: (reason: string) => void,
): Thread[] {
  let sure: Thread[] = [];
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (attempt > 0) kernel.lookLater(attempt, budget);
    const tgid = tasks.pid(leader);
    const rows = tasks
      .threads(leader, budget, problem)
      .flatMap((task) => decoder.decode(task) ?? [])
      .filter((row) => row.tgid === tgid);
    kernel.lookAgain();
    if (!tasks.isListed(leader)) return [];
    sure = rows.filter(({ task, tid }) => tasks.isThreadListed(task) && tasks.pid(task) === tid);
    if (sure.length === rows.length || !kernel.memory.live) break;
  }
  const seen = new Set<number>();
  return sure.filter(({ tid }) => !seen.has(tid) && seen.add(tid));
}
