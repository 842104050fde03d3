import assert from "node:assert/strict";
import type { GuestVirtual } from "../../../src/base/address.ts";
import { irqCallbacks } from "../../../src/linux/irq.ts";
import { kernelThreads } from "../../../src/linux/kthread-function.ts";
import { listEntries } from "../../../src/linux/list.ts";
import { forge, linked, makeForeign, scratch } from "./forged-object.ts";
import type { HookPlace, HookTampering } from "./hook-tamperings.ts";
import { together } from "./hook-tamperings.ts";

/** A soft interrupt that nothing raises here: IRQ_POLL, which some SCSI drivers use. */
const UNUSED_SOFTIRQ = 5;
/** IPPROTO 200 is nobody's; CLOCK_TAI, the fourth of the clocks, has no timers here. */
const UNUSED_PROTOCOL = 200;
const UNUSED_CLOCK = 3;

/** Functions to be called later, planted where this guest will never come to call them. */
export function callbackTamperings(place: HookPlace): HookTampering[] {
  return [
    ...timerTamperings(place),
    ...workTamperings(place),
    ...interruptHandlerTamperings(place),
    ...registryTamperings(place),
  ];
}

function timerTamperings(place: HookPlace): HookTampering[] {
  const { kernel, editor, nobody } = place;
  const wheel = kernel.perCpu(kernel.requireSymbol("timer_bases"), 0);
  const vectors = kernel.types.length("timer_base", "vectors");
  // The last bucket is days away, and a wheel runs only what its map says is pending.
  const bucket = wheel + kernel.offset("timer_base", "vectors") + (vectors - 1) * 8;
  const timer = (at: GuestVirtual, call: GuestVirtual): (() => void) =>
    together(
      forge(place, "timer_list", at, { "entry.pprev": bucket, function: call }),
      editor.writePointer(bucket, at),
    );
  const work = scratch(place);
  const bases = kernel.perCpu(kernel.requireSymbol("hrtimer_bases"), 0);
  const clock =
    bases +
    kernel.offset("hrtimer_cpu_base", "clock_base") +
    UNUSED_CLOCK * kernel.types.size("hrtimer_clock_base");
  const precise = scratch(place);
  const node = precise + kernel.offset("hrtimer", "node.node");
  return [
    {
      title: "a timer that calls memory of nobody",
      check: "timers",
      tamper: () => timer(work, nobody),
      says: /A timer leads to memory of nobody/,
    },
    {
      title: "a delayed work in memory of nobody",
      check: "timers",
      tamper: () =>
        together(
          timer(
            work + kernel.offset("delayed_work", "timer"),
            kernel.requireSymbol("delayed_work_timer_fn"),
          ),
          editor.writePointer(work + kernel.offset("delayed_work", "work.func"), nobody),
        ),
      says: /A delayed work leads to memory of nobody/,
    },
    {
      title: "a high-resolution timer that calls memory of nobody",
      check: "timers",
      tamper: () =>
        together(
          forge(place, "hrtimer", precise, { function: nobody, base: clock }),
          editor.writePointer(
            clock + kernel.offset("hrtimer_clock_base", "active.rb_root.rb_root"),
            node,
          ),
        ),
      says: /A high-resolution timer leads to memory of nobody/,
    },
  ];
}

function workTamperings(place: HookPlace): HookTampering[] {
  const { kernel, editor, nobody } = place;
  const budget = kernel.budget();
  const thread = [...kernelThreads(kernel, budget, assert.fail)].find(
    ({ comm }) => comm === "khungtaskd" || comm === "oom_reaper",
  );
  assert.ok(thread !== undefined);
  return [
    {
      title: "a work that a queue holds back",
      check: "work-queues",
      tamper: () => holdBack(place),
      says: /A work of \w+ leads to memory of nobody/,
    },
    {
      title: "a kernel thread that was started in memory of nobody",
      check: "kernel-thread-functions",
      tamper: () =>
        editor.writePointer(thread.holder + kernel.offset("kthread", "threadfn"), nobody),
      says: /Kernel thread \d+ \((khungtaskd|oom_reaper)\) leads to memory of nobody/,
    },
  ];
}

/** In a rare queue: what is held back starts only when another work of the queue ends. */
function holdBack(place: HookPlace): () => void {
  const { kernel, nobody } = place;
  const budget = kernel.budget();
  const queueLink = kernel.offset("workqueue_struct", "list");
  const queues = kernel.requireSymbol("workqueues");
  const queue = [...listEntries(kernel, queues, queueLink, budget)].find(
    (each) => name(place, each) === "cgroup_pidlist_destroy",
  );
  assert.ok(queue !== undefined);
  const pools = queue + kernel.offset("workqueue_struct", "pwqs");
  const [pool] = listEntries(kernel, pools, kernel.offset("pool_workqueue", "pwqs_node"), budget);
  const member = kernel.types.has("pool_workqueue", "inactive_works")
    ? "inactive_works"
    : "delayed_works";
  const head = pool + kernel.offset("pool_workqueue", member);
  const work = scratch(place);
  return together(
    forge(place, "work_struct", work, { func: nobody }),
    linked(place, head, work + kernel.offset("work_struct", "entry")),
  );
}

function name({ kernel }: HookPlace, queue: GuestVirtual): string | undefined {
  return kernel.space.string(kernel.reader("workqueue_struct", "name")(queue), 32);
}

function interruptHandlerTamperings(place: HookPlace): HookTampering[] {
  const { kernel, editor, nobody, moduleFunction } = place;
  const interrupts = [...irqCallbacks(kernel, kernel.budget(), assert.fail)];
  const acpi = interrupts.find(({ what }) => what === "handler of interrupt 9 (acpi)");
  assert.ok(acpi !== undefined);
  const tasklet = scratch(place);
  const queue = kernel.perCpu(kernel.requireSymbol("tasklet_hi_vec"), 0);
  return [
    {
      title: "an interrupt thread in memory of nobody",
      check: "irq-handlers",
      tamper: () =>
        editor.writePointer(acpi.holder + kernel.offset("irqaction", "thread_fn"), nobody),
      says: /thread of interrupt 9 \(acpi\) leads to memory of nobody/,
    },
    {
      title: "a soft interrupt that a module takes",
      check: "softirqs",
      tamper: () =>
        editor.writePointer(
          kernel.requireSymbol("softirq_vec") +
            UNUSED_SOFTIRQ * kernel.types.size("softirq_action"),
          moduleFunction,
        ),
      says: /action of soft interrupt IRQ_POLL leads to code of a module/,
    },
    {
      title: "a tasklet in memory of nobody",
      check: "softirqs",
      tamper: () =>
        together(
          forge(place, "tasklet_struct", tasklet, { func: nobody }),
          editor.writePointer(queue + kernel.offset("tasklet_head", "head"), tasklet),
        ),
      says: /A tasklet leads to memory of nobody/,
    },
  ];
}

function registryTamperings(place: HookPlace): HookTampering[] {
  const { kernel, editor, nobody, moduleFunction } = place;
  const object = scratch(place);
  const plant = (symbol: string, slot: number, target: GuestVirtual): (() => void) =>
    together(
      editor.write(object, new Uint8Array(64)),
      // The handler comes first in both structs.
      editor.writePointer(object, target),
      editor.writePointer(kernel.requireSymbol(symbol) + slot * 8, object),
    );
  return [
    {
      title: "a protocol whose handler is in memory of nobody",
      check: "registered-callbacks",
      tamper: () => plant("inet_protos", UNUSED_PROTOCOL, nobody),
      says: /handler of inet_protos leads to memory of nobody/,
    },
    {
      title: "a magic key of a module from elsewhere",
      check: "registered-callbacks",
      tamper: () => together(makeForeign(place), plant("sysrq_key_table", 0, moduleFunction)),
      says: /handler of sysrq_key_table leads to code of a module that is not/,
    },
    {
      title: "a console that writes through memory of nobody",
      check: "registered-callbacks",
      tamper: () => editor.writePointer(consoleMember(place, "unblank"), nobody),
      says: /unblank of console_\w+ leads to memory of nobody/,
    },
  ];
}

/** Of the first console; `unblank` is called when the kernel panics. */
function consoleMember({ kernel }: HookPlace, member: string): GuestVirtual {
  const drivers = kernel.symbol("console_drivers");
  const first =
    drivers === drivers
      ? kernel.space.pointer(drivers)
      : kernel.space.pointer(kernel.requireSymbol("console_list")) -
        kernel.offset("console", "node");
  return first + kernel.offset("console", member);
}
