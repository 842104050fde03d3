import type { Budget } from "../base/budget.ts";
import type { GuestVirtual } from "../base/address.ts";
import { FdTables } from "./fd-table.ts";
import type { Kernel } from "./kernel.ts";
import { PF_EXITING } from "./sched.ts";
import { Tasks } from "./task.ts";
import { UserRegisterReader } from "./user-registers.ts";

/** close, dup2, dup3, close_range (arch/x86/entry/syscalls/syscall_64.tbl). */
const CLOSING_CALLS: ReadonlySet<number> = new Set([3, 33, 292, 436]);

type Holds = (task: GuestVirtual, tasks: Tasks, budget: Budget) => boolean;

function someThread(kernel: Kernel, holds: Holds): boolean {
  const tasks = new Tasks(kernel);
  const budget = kernel.budget();
  return tasks
    .processes(budget)
    .some((leader) => tasks.threads(leader, budget).some((task) => holds(task, tasks, budget)));
}

/**
 * Whether some task is in the middle of closing its files because it exits: exit_files takes the
 * table out of the task first, and then closes one file after the other, which may have to wait for
 * a file system or for a grace period (fs/file.c). No task has those files meanwhile.
 */
export function isClosingFiles(kernel: Kernel): boolean {
  return someThread(kernel, (task, tasks) => {
    const exiting = (tasks.flags(task) & PF_EXITING) !== 0 && tasks.files(task) === 0;
    return exiting && !["Z", "X"].includes(tasks.state(task));
  });
}

/**
 * Whether some task that runs, or waits for a processor, is in a system call that closes a file: the
 * descriptor goes first, the file's last reference a moment later (filp_close in fs/open.c).
 */
export function isClosingDescriptor(kernel: Kernel): boolean {
  const registers = new UserRegisterReader(kernel);
  return someThread(kernel, (task, tasks) => {
    if (tasks.state(task) !== "R" || tasks.mm(task) === 0) return false;
    return CLOSING_CALLS.has(registers.of(task)?.systemCall ?? -1);
  });
}

/** Whether some task has a descriptor that leads to no file yet: nobody has that file meanwhile. */
export function isOpeningFile(kernel: Kernel): boolean {
  const tables = new FdTables(kernel);
  const seen = new Set<GuestVirtual>();
  return someThread(kernel, (task, tasks, budget) => {
    const files = tasks.files(task);
    if (!(files < 0) || seen.has(files)) return false;
    seen.add(files);
    return tables.hasReserved(files, budget);
  });
}
