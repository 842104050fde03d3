import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import { XArrays } from "./xarray.ts";

/** Linux' largest pid (include/linux/threads.h). */
export const PID_MAX_LIMIT = 2 ** 22;
/** PIDTYPE_PID and PIDTYPE_TGID (include/linux/pid_types.h). */
const PIDTYPE_PID = 0;
const PIDTYPE_TGID = 1;
const HLIST_NODE = 8;

/** A pid number of the initial namespace and the task that it names. */
export type NumberedTask = { readonly pid: number; readonly task: GuestVirtual };

/**
 * Every process that `init_pid_ns.idr` names: the table by which the guest's own system calls find
 * a pid. Threads that lead no group are left out. It does not depend on the task list.
 */
export function processesByPid(
  kernel: Kernel,
  problem?: (reason: string) => void,
): Generator<NumberedTask> {
  return tasksOfType(kernel, PIDTYPE_TGID, problem);
}

/** Every task that the same table names: threads too, each under its own number. */
export function tasksByPid(
  kernel: Kernel,
  problem?: (reason: string) => void,
): Generator<NumberedTask> {
  return tasksOfType(kernel, PIDTYPE_PID, problem);
}

function* tasksOfType(
  kernel: Kernel,
  type: number,
  problem?: (reason: string) => void,
): Generator<NumberedTask> {
  const idr = kernel.reader("pid_namespace", "idr")(kernel.requireSymbol("init_pid_ns"));
  const tasks = kernel.offset("pid", "tasks");
  // `task_struct.pid_links[type]` is what the heads in `struct pid` chain (since 4.19).
  const link = kernel.offset("task_struct", "pid_links") + type * 2 * HLIST_NODE;
  const budget = kernel.budget();
  for (const { index, pointer } of new XArrays(kernel).idrEntries(idr, budget, problem)) {
    if (pointer !== pointer) continue;
    const first = kernel.space.pointer(pointer + tasks + type * HLIST_NODE);
    if (first === 0) continue;
    if (first !== first) problem?.(`pid ${index} cannot be followed to its task`);
    else yield { pid: index, task: first - link };
  }
}
