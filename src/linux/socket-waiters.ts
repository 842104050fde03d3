import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Callback, Problem } from "./callback.ts";
import type { Kernel } from "./kernel.ts";
import { isLinked, listSnapshot } from "./list-snapshot.ts";

/**
 * Reads who is called when something happens at a socket: those who sleep until then, epoll, and
 * whoever put himself into its wait queue (struct socket_wq, include/linux/net.h; linux/wait.h).
 */
export function socketWaiters(
  kernel: Kernel,
  budget: Budget,
  problem: Problem,
): (socket: GuestVirtual) => Callback[] {
  // In the struct itself since 5.3.
  const queue = kernel.offset("socket", "wq.wait.head");
  const link = kernel.offset("wait_queue_entry", "entry");
  const call = kernel.reader("wait_queue_entry", "func");
  return (socket) => {
    const head = socket + queue;
    // One that was closed meanwhile is somebody else's memory.
    if (!isLinked(kernel, head)) return [];
    return listSnapshot(kernel, head, link, budget, problem).flatMap((entry) => {
      const target = call(entry);
      const what = "waiter for a socket";
      return target === 0 ? [] : [{ what, function: target, holder: entry }];
    });
  };
}
