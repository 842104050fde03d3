import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Callback, Problem } from "./callback.ts";
import { CircleWatch } from "./circle-watch.ts";
import type { Kernel } from "./kernel.ts";
import { PerCpu } from "./per-cpu.ts";

/** NR_SOFTIRQS in their order (include/linux/interrupt.h), the same since 2.6.39. */
const NAMES = [
  "HI",
  "TIMER",
  "NET_TX",
  "NET_RX",
  "BLOCK",
  "IRQ_POLL",
  "TASKLET",
  "SCHED",
  "HRTIMER",
  "RCU",
];
/** Longest queue that is followed; what waits there is done within a tick. */
const MAX_QUEUED = 4096;
/** kvfree_rcu says by a number below this where an object is in its memory (include/linux/rcupdate.h). */
const MAX_KVFREE_OFFSET = 4096;

/** What is called for each kind of soft interrupt (`softirq_vec`, kernel/softirq.c). */
export function* softirqActions(kernel: Kernel): Generator<Callback> {
  const vector = kernel.requireSymbol("softirq_vec");
  const size = kernel.types.size("softirq_action");
  const action = kernel.reader("softirq_action", "action");
  for (const [index, name] of NAMES.entries()) {
    const holder = vector + index * size;
    const call = action(holder);
    if (call !== 0) yield { what: `action of soft interrupt ${name}`, function: call, holder };
  }
}

/**
 * Tasklets that wait to be run (`tasklet_vec`, `tasklet_hi_vec`). They wait a moment only, so a
 * queue that is being emptied is no problem: its rest is left out.
 */
export function* queuedTasklets(kernel: Kernel, budget: Budget): Generator<Callback> {
  const head = kernel.reader("tasklet_head", "head");
  const next = kernel.reader("tasklet_struct", "next");
  // A union of `func` and, since 5.8, `callback`.
  const call = kernel.reader("tasklet_struct", "func");
  for (const symbol of ["tasklet_vec", "tasklet_hi_vec"]) {
    const variable = kernel.symbol(symbol);
    for (const cpu of new PerCpu(kernel).cpus) {
      const first = head(kernel.perCpu(variable, cpu));
      yield* chain({ what: "tasklet", first, next, call }, budget);
    }
  }
}

/** Callbacks that wait for a grace period (`rcu_data.cblist`, kernel/rcu/rcu_segcblist.h). */
export function* rcuCallbacks(
  kernel: Kernel,
  budget: Budget,
  problem: Problem,
): Generator<Callback> {
  const call = kernel.reader("callback_head", "func");
  const next = kernel.reader("callback_head", "next");
  // A kernel for one processor that is not preempted has one list (kernel/rcu/tiny.c, TINY_RCU).
  const tiny = kernel.readerOf("rcu_ctrlblk", "rcucblist")?.(kernel.symbol("rcu_ctrlblk"));
  if (tiny === tiny && tiny !== undefined) {
    return yield* rcuChain({ what: "callback of RCU", first: tiny, next, call }, budget);
  }
  const variable = kernel.symbol("rcu_data");
  if (variable !== variable || !kernel.types.has("rcu_data", "cblist.head")) {
    return problem("where callbacks of RCU wait is not known");
  }
  const first = kernel.reader("rcu_data", "cblist.head");
  for (const cpu of new PerCpu(kernel).cpus) {
    const list = {
      what: "callback of RCU",
      first: first(kernel.perCpu(variable, cpu)),
      next,
      call,
    };
    yield* rcuChain(list, budget);
  }
  return undefined;
}

function* rcuChain(list: Chain, budget: Budget): Generator<Callback> {
  for (const each of chain(list, budget)) {
    const isOffset = each.function >= 0 && each.function < MAX_KVFREE_OFFSET;
    if (!isOffset) yield each;
  }
}

type Chain = {
  readonly what: string;
  readonly first: GuestVirtual;
  readonly next: (object: GuestVirtual) => GuestVirtual;
  readonly call: (object: GuestVirtual) => GuestVirtual;
};

function* chain({ what, first, next, call }: Chain, budget: Budget): Generator<Callback> {
  const watch = new CircleWatch();
  let holder = first;
  for (let count = 0; holder !== 0 && count < MAX_QUEUED && budget.step(); count++) {
    const after = next(holder);
    const target = call(holder);
    // Freed in between: what lies there now is something else.
    if (after !== after || target !== target || watch.isBack(holder)) return;
    yield { what, function: target, holder };
    holder = after;
  }
}
