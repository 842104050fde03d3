import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "../linux/kernel.ts";
import { runningTasks } from "../linux/run-queue.ts";
import { SlabOwners } from "../linux/slab.ts";
import { Tasks } from "../linux/task.ts";
import { inAnyView } from "../linux/object-views.ts";
import { taskViews, threadViews } from "../linux/task-views.ts";
import type { Check, CheckContext } from "./check.ts";
import { PID_MAX_LIMIT } from "../linux/pid.ts";

/** TASK_DEAD and TASK_NEW (include/linux/sched.h): on its way out, or not yet in. */
const PASSING = 0x80 | 0x800;

/** Every process and thread that lies in memory, or runs, is in some list of those. */
export const unlistedProcess: Check = {
  id: "unlisted-process",
  proves:
    "No living process or thread lies in the memory that the kernel has for tasks, or is run by the scheduler, without being in any of the kernel's lists of those.",
  reads:
    "struct page of all memory, the slabs of task_struct_cachep, run queues, and the views of hidden-process and hidden-thread",
  attack: ["T1014", "T1564.001"],
  shares: ["task views"],
  limits: "A task that was moved out of its cache shows only while it runs.",
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
      if (living.is(task)) found.set(task, "memory");
    }
    if (found.size === 0) context.unseen("no task was found where tasks lie, and init is one");
    if (budget.exhausted) context.unseen("there are more tasks than are looked at");
    for (const task of runningTasks(kernel, (reason) => context.unseen(reason))) {
      const leader = living.tasks.groupLeader(task);
      for (const each of [task, leader]) if (living.is(each)) found.set(each, "the run queues");
    }
    // Read last: who came meanwhile is in it.
    const unseen = (reason: string): void => context.unseen(reason);
    const leaders = taskViews(kernel, unseen);
    const threads = threadViews(kernel, unseen);
    const views = [...leaders.values(), ...threads.values()];
    context.cover(found.size);
    if (!views.some(({ whole }) => whole)) return;
    const known = { leaders: inAnyView(leaders), threads: inAnyView(threads) };
    const numbers = new Set(Array.from(known.threads, (task) => living.tasks.pid(task)));
    for (const [task, where] of found) {
      const leads = living.leads(task);
      if ((leads ? known.leaders : known.threads).has(task) || !living.is(task)) continue;
      // A task that is being made, or never was, is a copy of its maker, number and all.
      const isCopy = !leads && numbers.has(living.tasks.pid(task));
      if (!isCopy) report(context, living.tasks, task, where);
    }
  },
};

function report(context: CheckContext, tasks: Tasks, task: GuestVirtual, where: string): void {
  const pid = tasks.tgid(task);
  const comm = tasks.comm(task) ?? "?";
  const leads = tasks.groupLeader(task) === task;
  const who = leads ? `Process ${pid}` : `Thread ${tasks.pid(task)} of process ${pid}`;
  const address = context.kernel.format(task);
  context.report({
    severity: "critical",
    confidence: "high",
    title: `${who} (${comm}) is hidden: it is in no list of processes, but in ${where}.`,
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

  leads(task: GuestVirtual): boolean {
    return this.tasks.groupLeader(task) === task;
  }

  /** A living task, whose leader is one too or has exited; the idle ones have no pid. */
  is(task: GuestVirtual): boolean {
    const { tasks } = this;
    if (this.#exitState(task) !== 0) return false;
    const pid = tasks.pid(task);
    const leader = tasks.groupLeader(task);
    if (!(pid > 0 && pid <= PID_MAX_LIMIT) || tasks.groupLeader(leader) !== leader) return false;
    const tgid = tasks.tgid(task);
    if (tasks.pid(leader) !== tgid || tasks.tgid(leader) !== tgid) return false;
    const isPassing = (this.#state(task) & PASSING) !== 0;
    return (
      !isPassing && this.#usage(task) > 0 && tasks.signal(task) < 0 && tasks.realCred(task) < 0
    );
  }
}
