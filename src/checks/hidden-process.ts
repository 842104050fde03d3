import type { GuestVirtual } from "../base/address.ts";
import { foundIn, inAnyView, missingFrom } from "../linux/object-views.ts";
import { taskViews } from "../linux/task-views.ts";
import type { TaskView } from "../linux/task-views.ts";
import { Tasks } from "../linux/task.ts";
import type { Check } from "./check.ts";
import type { Report } from "./finding.ts";

/** include/linux/threads.h. */
const PID_MAX_LIMIT = 2 ** 22;
/** include/linux/sched.h: not woken for the first time yet; it joins its control group before that. */
const TASK_NEW = 0x800;
/** It leaves its control group in between being marked so and its `exit_state`. */
const PF_EXITING = 4;

/** Every process is in every view that the kernel keeps of its processes. */
export const hiddenProcess: Check = {
  id: "hidden-process",
  proves:
    "The task list, the table of pids, the control groups and the tree of parents and children hold the same processes.",
  reads: "init_task.tasks, init_pid_ns.idr, css_set_table, task_struct.children",
  attack: ["T1014", "T1564.001"],
  shares: ["task views"],
  limits:
    "A process that is taken out of all four is left to unlisted-process; one that is only filtered from /proc is in all of them and shows in ps.",
  run(context) {
    const { kernel } = context;
    const tasks = new Tasks(kernel);
    const exitState = kernel.reader("task_struct", "exit_state");
    // `state` until 5.14.
    const state = kernel.readerOf("task_struct", "__state", "state");
    const flags = kernel.reader("task_struct", "flags");
    const passing = (task: GuestVirtual): boolean =>
      ((state?.(task) ?? 0) & TASK_NEW) !== 0 || (flags(task) & PF_EXITING) !== 0;
    const views = taskViews(kernel, (reason) => context.unseen(reason));
    const everyone = inAnyView(views);
    for (const task of everyone) {
      const missing = missingFrom(views, task);
      // A process on its way out leaves its views one after the other.
      if (missing.length === 0 || exitState(task) !== 0) continue;
      if (missing.every((view) => view === "control groups") && passing(task)) continue;
      const pid = tasks.tgid(task);
      const comm = tasks.comm(task);
      if (!(pid > 0 && pid <= PID_MAX_LIMIT) || comm === undefined) continue;
      context.report(report(kernel.format(task), pid, comm, missing, foundIn(views, task)));
    }
    context.cover(everyone.size);
  },
};

function report(
  task: string,
  pid: number,
  comm: string,
  missing: readonly TaskView[],
  found: readonly TaskView[],
): Report {
  return {
    severity: "critical",
    confidence: "high",
    title: `Process ${pid} (${comm}) is hidden: it is not in the ${missing.join(" and the ")}.`,
    subject: { pid, task },
    evidence: {
      task,
      comm,
      missingFrom: missing,
      foundIn: found,
    },
  };
}
