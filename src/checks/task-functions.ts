import type { GuestVirtual } from "../base/address.ts";
import { Tasks } from "../linux/task.ts";
import { taskPointers } from "../linux/task-functions.ts";
import type { Check } from "./check.ts";
import { checkFunction, tellOwnerProblems } from "./function-target.ts";
import { OperationsChecker, strangerTo } from "./operations.ts";
import { processes, userThreads } from "./user-facts.ts";

/** Each task leads to the kernel's own functions. */
export const taskFunctions: Check = {
  id: "task-functions",
  proves:
    "Each thread is scheduled by a class of the kernel, its program was loaded by a format of the kernel or of a distribution's module, and what starts its interrupted system call anew is a function of the kernel.",
  reads: "task_struct.sched_class and restart_block.fn of every thread; mm_struct.binfmt",
  attack: ["T1014"],
  shares: ["kernel rodata", "kernel data"],
  limits:
    "Work that was put off until a task returns to its program (task_works) is there for moments, and not looked at. One of the kernel's own classes or functions in another's place is not told.",
  run(context) {
    const { kernel, facts } = context;
    tellOwnerProblems(context);
    const tasks = new Tasks(kernel);
    const checker = new OperationsChecker(context);
    const pointersOf = taskPointers(kernel);
    for (const problem of facts.get(userThreads).problems) context.unseen(problem);
    const seen = new Set<GuestVirtual>();
    for (const { task } of [...facts.get(processes).rows, ...facts.get(userThreads).rows]) {
      if (seen.has(task)) continue;
      seen.add(task);
      const found = pointersOf(task);
      // Gone meanwhile: what was read is somebody else's.
      if (!tasks.isListed(task)) continue;
      const pid = tasks.pid(task);
      for (const { member, slot, value, table } of found) {
        const what = `The ${member} of task ${pid} (${tasks.comm(task) ?? "?"})`;
        const subject = { pid, task: kernel.format(task), member };
        if (table === undefined) {
          checkFunction(context, { what, subject, target: value, slot, allowed: "kernel" });
          continue;
        }
        const stranger = strangerTo(context, value, 0);
        checker.check({ what, struct: table, table: value, slot, subject, stranger });
      }
    }
    context.cover(seen.size);
  },
};
