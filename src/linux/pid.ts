import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import { XArrays } from "./xarray.ts";

/** PIDTYPE_PID and PIDTYPE_TGID (include/linux/pid_types.h). */
const PIDTYPE_TGID = 1;
const HLIST_NODE = 8;

/** A pid number of the initial namespace and the process that it names. */
export type NumberedProcess = { readonly pid: number; readonly task: GuestVirtual };

/**
 * Every process that `init_pid_ns.idr` names: the table by which the guest's own system calls find
 * a pid. Threads that lead no group are left out. It does not depend on the task list.
 */
export function* processesByPid(
  kernel: Kernel,
  problem?: (reason: string) => void,
): Generator<NumberedProcess> {
  const idr = kernel.reader("pid_namespace", "idr")(kernel.requireSymbol("init_pid_ns"));
  const tasks = kernel.offset("pid", "tasks");
  // `task_struct.pid_links[type]` is what the heads in `struct pid` chain (since 4.19).
  const link = kernel.offset("task_struct", "pid_links") + PIDTYPE_TGID * 2 * HLIST_NODE;
  const budget = kernel.budget();
  for (const { index, pointer } of new XArrays(kernel).idrEntries(idr, budget, problem)) {
    if (pointer !== pointer) continue;
    const first = kernel.space.pointer(pointer + tasks + PIDTYPE_TGID * HLIST_NODE);
    if (first === 0) continue;
    if (first !== first) problem?.(`pid ${index} cannot be followed to its task`);
    else yield { pid: index, task: first - link };
  }
}
