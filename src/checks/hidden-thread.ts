import type { Kernel } from "../linux/kernel.ts";
import { inAnyView } from "../linux/object-views.ts";
import { threadViews } from "../linux/task-views.ts";
import type { ThreadView } from "../linux/task-views.ts";
import { Tasks } from "../linux/task.ts";
import type { Check } from "./check.ts";
import type { Report } from "./finding.ts";
import { missingTasks } from "./missing-tasks.ts";
import type { MissingTask } from "./missing-tasks.ts";

/** Every thread is in every view that the kernel keeps of its threads. */
export const hiddenThread: Check = {
  id: "hidden-thread",
  proves:
    "The lists of threads of all processes, the table of pids and the control groups hold the same threads.",
  reads: "signal_struct.thread_head of each process, init_pid_ns.idr, css_set_table",
  attack: ["T1014", "T1564.001"],
  shares: ["task views"],
  limits:
    "A thread that is taken out of all three is left to unlisted-process; processes themselves are for hidden-process.",
  run(context) {
    const { kernel } = context;
    const tasks = new Tasks(kernel);
    const views = threadViews(kernel, (reason) => context.unseen(reason));
    for (const thread of missingTasks(kernel, views)) {
      if (tasks.groupLeader(thread.task) === thread.task) continue;
      context.report(report(kernel, thread));
    }
    context.cover(inAnyView(views).size);
  },
};

function report(
  kernel: Kernel,
  { task: address, tid, pid, comm, missing, found }: MissingTask<ThreadView>,
): Report {
  const task = kernel.format(address);
  return {
    severity: "critical",
    confidence: "high",
    title: `Thread ${tid} of process ${pid} (${comm}) is hidden: it is not in the ${missing.join(" and the ")}.`,
    subject: { tid, pid, task },
    evidence: { task, comm, missingFrom: missing, foundIn: found },
  };
}
