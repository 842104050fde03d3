import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "../linux/kernel.ts";
import { runningTasks } from "../linux/run-queue.ts";
import { SlabOwners } from "../linux/slab.ts";
import { Tasks } from "../linux/task.ts";
import { inAnyView } from "../linux/object-views.ts";
import { taskViews } from "../linux/task-views.ts";
import type { Check, CheckContext } from "./check.ts";

/** include/linux/threads.h. */
const PID_MAX_LIMIT = 2 ** 22;
/** TASK_DEAD and TASK_NEW (include/linux/sched.h): on its way out, or not yet in. */
const PASSING = 0x80 | 0x800;

/** Every process that lies in memory, or runs, is in some list of processes. */
export const unlistedProcess: Check = {
  id: "unlisted-process",
  proves:
    "No living process lies in the memory that the kernel has for tasks, or is run by the scheduler, without being in any of the kernel's lists of processes.",
  reads:
    "struct page of all memory, the slabs of task_struct_cachep, run queues, and the views of hidden-process",
  attack: ["T1014", "T1564.001"],
  limits:
    "A thread of a listed process is not looked for. A task that was moved out of its cache shows only while it runs.",
  costly: true,
  run(context) {
    const { kernel } = context;
    const slabs = new SlabOwners(kernel);
    const cache = slabs.named("task_struct_cachep");
    if (!(cache < 0)) context.skip("the cache of tasks cannot be found");
    const living = new Living(kernel);
    const budget = kernel.budget();
    const found = new Map<GuestVirtual, string>();
    for (const task of slabs.places(cache, budget, (reason) => context.unseen(reason))) {
      if (living.leads(task)) found.set(task, "memory");
    }
    if (budget.exhausted) context.unseen("there are more tasks than are looked at");
    for (const task of runningTasks(kernel, (reason) => context.unseen(reason))) {
      const leader = living.tasks.groupLeader(task);
      if (living.leads(leader)) found.set(leader, "the run queues");
    }
    // Read last: who came meanwhile is in it.
    const views = taskViews(kernel, (reason) => context.unseen(reason));
    const listed = inAnyView(views);
    context.cover(found.size);
    if (![...views.values()].some(({ whole }) => whole)) return;
    for (const [task, where] of found) {
      if (!listed.has(task) && living.leads(task)) report(context, living.tasks, task, where);
    }
  },
};

function report(context: CheckContext, tasks: Tasks, task: GuestVirtual, where: string): void {
  const pid = tasks.tgid(task);
  const comm = tasks.comm(task) ?? "?";
  const address = context.kernel.format(task);
  context.report({
    severity: "critical",
    confidence: "high",
    title: `Process ${pid} (${comm}) is hidden: it is in no list of processes, but in ${where}.`,
    subject: { pid, task: address },
    evidence: {
      task: address,
      comm,
      state: tasks.state(task),
      mm: context.kernel.format(tasks.mm(task)),
    },
  });
}

/** Tells tasks that live from what was left in freed memory: whoever ends keeps an exit_state. */
class Living {
  readonly tasks: Tasks;
  readonly #exitState: (task: GuestVirtual) => number;
  readonly #state: (task: GuestVirtual) => number;
  readonly #usage: (task: GuestVirtual) => number;

  constructor(kernel: Kernel) {
    this.tasks = new Tasks(kernel);
    this.#exitState = kernel.reader("task_struct", "exit_state");
    // `state` became `__state` in 5.14.
    this.#state =
      kernel.readerOf("task_struct", "__state", "state") ?? kernel.reader("task_struct", "__state");
    this.#usage = kernel.reader("task_struct", "usage.refs.counter");
  }

  /** A living task that leads its group; the idle ones have no pid. */
  leads(task: GuestVirtual): boolean {
    const { tasks } = this;
    if (tasks.groupLeader(task) !== task || this.#exitState(task) !== 0) return false;
    const pid = tasks.tgid(task);
    if (!(pid > 0 && pid <= PID_MAX_LIMIT) || tasks.pid(task) !== pid) return false;
    const isPassing = (this.#state(task) & PASSING) !== 0;
    return (
      !isPassing && this.#usage(task) > 0 && tasks.signal(task) < 0 && tasks.realCred(task) < 0
    );
  }
}
