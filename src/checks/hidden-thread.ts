import { foundIn, inAnyView, missingFrom } from "../linux/object-views.ts";
import { Tasks } from "../linux/task.ts";
import { threadViews } from "../linux/task-views.ts";
import type { Check } from "./check.ts";

/** include/linux/threads.h. */
const PID_MAX_LIMIT = 2 ** 22;
/** include/linux/sched.h: not woken for the first time yet; it joins its control group before that. */
const TASK_NEW = 0x800;
/** It leaves its control group in between being marked so and its `exit_state`. */
const PF_EXITING = 4;

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
    const exitState = kernel.reader("task_struct", "exit_state");
    // `state` until 5.14.
    const state = kernel.readerOf("task_struct", "__state", "state");
    const flags = kernel.reader("task_struct", "flags");
    const passing = (task: number): boolean =>
      ((state?.(task) ?? 0) & TASK_NEW) !== 0 || (flags(task) & PF_EXITING) !== 0;
    const views = threadViews(kernel, (reason) => context.unseen(reason));
    const everyone = inAnyView(views);
    for (const task of everyone) {
      const missing = missingFrom(views, task);
      if (missing.length === 0 || tasks.groupLeader(task) === task) continue;
      // A thread on its way in or out joins and leaves its views one after the other.
      if (exitState(task) !== 0) continue;
      if (missing.every((view) => view === "control groups") && passing(task)) continue;
      const tid = tasks.pid(task);
      const pid = tasks.tgid(task);
      const comm = tasks.comm(task);
      const isOne = tid > 0 && tid <= PID_MAX_LIMIT && pid > 0 && pid <= PID_MAX_LIMIT;
      if (!isOne || comm === undefined) continue;
      context.report({
        severity: "critical",
        confidence: "high",
        title: `Thread ${tid} of process ${pid} (${comm}) is hidden: it is not in the ${missing.join(" and the ")}.`,
        subject: { tid, pid, task: kernel.format(task) },
        evidence: {
          task: kernel.format(task),
          comm,
          missingFrom: missing,
          foundIn: foundIn(views, task),
        },
      });
    }
    context.cover(everyone.size);
  },
};
