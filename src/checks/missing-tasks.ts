import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "../linux/kernel.ts";
import { foundIn, inAnyView, missingFrom } from "../linux/object-views.ts";
import type { ObjectView } from "../linux/object-views.ts";
import { PID_MAX_LIMIT } from "../linux/pid.ts";
import { PF_EXITING } from "../linux/sched.ts";
import { Tasks } from "../linux/task.ts";

/** include/linux/sched.h: not woken for the first time yet; it joins its control group before that. */
const TASK_NEW = 0x800;

/** A task that one of the kernel's lists lacks and another holds. */
export type MissingTask<View> = {
  readonly task: GuestVirtual;
  /** Its own number, and that of its process. */
  readonly tid: number;
  readonly pid: number;
  readonly comm: string;
  readonly missing: readonly View[];
  readonly found: readonly View[];
};

/**
 * Tasks that some of the views lack. Those on their way in or out are passed over: they join and
 * leave the kernel's lists one after the other (copy_process, kernel/fork.c; do_exit, kernel/exit.c).
 */
export function* missingTasks<View extends string>(
  kernel: Kernel,
  views: ReadonlyMap<View, ObjectView>,
): Generator<MissingTask<View>, void, undefined> {
  const tasks = new Tasks(kernel);
  const exitState = kernel.reader("task_struct", "exit_state");
  // `state` until 5.14.
  const state = kernel.readerOf("task_struct", "__state", "state");
  const flags = kernel.reader("task_struct", "flags");
  for (const task of inAnyView(views)) {
    const missing = missingFrom(views, task);
    if (missing.length === 0 || exitState(task) !== 0) continue;
    // Who exits leaves its control group after it is marked so, and before it has its `exit_state`.
    const passing = ((state?.(task) ?? 0) & TASK_NEW) !== 0 || (flags(task) & PF_EXITING) !== 0;
    if (passing && missing.every((view) => view === "control groups")) continue;
    const [tid, pid, comm] = [tasks.pid(task), tasks.tgid(task), tasks.comm(task)];
    if (!isPid(tid) || !isPid(pid) || comm === undefined) continue;
    yield { task, tid, pid, comm, missing, found: foundIn(views, task) };
  }
}

function isPid(number: number): boolean {
  return number > 0 && number <= PID_MAX_LIMIT;
}
