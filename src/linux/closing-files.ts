import type { Kernel } from "./kernel.ts";
import { PF_EXITING } from "./sched.ts";
import { Tasks } from "./task.ts";

/**
 * Whether some task is in the middle of closing its files because it exits: exit_files takes the
 * table out of the task first, and then closes one file after the other, which may have to wait for
 * a file system or for a grace period (fs/file.c). No task has those files meanwhile.
 */
export function isClosingFiles(kernel: Kernel): boolean {
  const tasks = new Tasks(kernel);
  const budget = kernel.budget();
  return tasks.processes(budget).some((leader) =>
    tasks.threads(leader, budget).some((task) => {
      const exiting = (tasks.flags(task) & PF_EXITING) !== 0 && tasks.files(task) === 0;
      return exiting && !["Z", "X"].includes(tasks.state(task));
    }),
  );
}
