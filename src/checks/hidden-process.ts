import type { Kernel } from "../linux/kernel.ts";
import { inAnyView } from "../linux/object-views.ts";
import { taskViews } from "../linux/task-views.ts";
import type { TaskView } from "../linux/task-views.ts";
import type { Check } from "./check.ts";
import type { Report } from "./finding.ts";
import { missingTasks } from "./missing-tasks.ts";
import type { MissingTask } from "./missing-tasks.ts";

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
    const views = taskViews(kernel, (reason) => context.unseen(reason));
    for (const process of missingTasks(kernel, views)) context.report(report(kernel, process));
    context.cover(inAnyView(views).size);
  },
};

function report(
  kernel: Kernel,
  { task: address, pid, comm, missing, found }: MissingTask<TaskView>,
): Report {
  const task = kernel.format(address);
  return {
    severity: "critical",
    confidence: "high",
    title: `Process ${pid} (${comm}) is hidden: it is not in the ${missing.join(" and the ")}.`,
    subject: { pid, task },
    evidence: { task, comm, missingFrom: missing, foundIn: found },
  };
}
