import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { FaultCount } from "./callback.ts";
import type { Problem } from "./callback.ts";
import type { Kernel } from "./kernel.ts";
import { isLinked, listSnapshot } from "./list-snapshot.ts";
import { PerCpu } from "./per-cpu.ts";
import { Tasks } from "./task.ts";

/** Something that is being counted or sampled (struct perf_event, include/linux/perf_event.h). */
export type PerfEvent = {
  readonly event: GuestVirtual;
  /** PERF_TYPE_*: 0 hardware, 1 software, 2 tracepoint, 5 breakpoint; others are units' own. */
  readonly type: number;
  readonly config: number;
  /** Name of the performance unit that counts: `cpu`, `software`, `breakpoint`; some have none. */
  readonly unit: string | undefined;
  /** The process or thread that is observed; undefined where it is a processor. */
  readonly pid: number | undefined;
  /** What is called when a sample is due, and what when it is given up; 0 for none. */
  readonly overflow: GuestVirtual;
  readonly destroy: GuestVirtual;
  /** A `struct bpf_prog` that sees each sample; 0 for none. */
  readonly program: GuestVirtual;
};

const MAX_NAME = 64;

type Context = { readonly context: GuestVirtual; readonly pid: number | undefined };

/** Every event of every processor and thread; each once. */
export function* perfEvents(
  kernel: Kernel,
  budget: Budget,
  problem: Problem,
): Generator<PerfEvent> {
  if (!kernel.types.has("perf_event", "event_entry")) return;
  const head = kernel.offset("perf_event_context", "event_list");
  const link = kernel.offset("perf_event", "event_entry");
  const field = (member: string): ((event: GuestVirtual) => number) =>
    kernel.readerOf("perf_event", member) ?? (() => 0);
  const [type, config] = [field("attr.type"), field("attr.config")];
  const [overflow, destroy, program] = ["overflow_handler", "destroy", "prog"].map(field);
  const seen = new Set<GuestVirtual>();
  const faults = new FaultCount(problem);
  for (const { context, pid } of contexts(kernel, budget, problem)) {
    if (seen.has(context)) continue;
    if (faults.tooMany || !budget.step()) return problem("events were left out");
    seen.add(context);
    for (const event of listSnapshot(kernel, context + head, link, budget, faults.tell)) {
      const seenNow = {
        overflow: overflow(event),
        destroy: destroy(event),
        program: program(event),
      };
      // Closed meanwhile: what lies there now is something else.
      if (!isLinked(kernel, event + link)) continue;
      const unit = unitName(kernel, event);
      yield { event, type: type(event), config: config(event), unit, pid, ...seenNow };
    }
  }
  return undefined;
}

function unitName(kernel: Kernel, event: GuestVirtual): string | undefined {
  const name = kernel.reader("pmu", "name")(kernel.reader("perf_event", "pmu")(event));
  return name < 0 ? kernel.space.string(name, MAX_NAME) : undefined;
}

function* contexts(kernel: Kernel, budget: Budget, problem: Problem): Generator<Context> {
  yield* processorContexts(kernel, budget, problem);
  const tasks = new Tasks(kernel);
  const member = kernel.types.require("task_struct", "perf_event_ctxp");
  // One for hardware and one for software until 6.1, then one for all.
  const slots = kernel.types.source.array(member.typeId)?.count ?? 1;
  for (const leader of tasks.processes(budget, problem)) {
    for (const task of tasks.threads(leader, budget, problem)) {
      for (let slot = 0; slot < slots; slot++) {
        const context = kernel.space.pointer(task + member.offset + slot * 8);
        if (context < 0) yield { context, pid: tasks.pid(task) };
      }
    }
  }
}

/** Since 6.2 each processor has one context; before, each kind of performance unit has one there. */
function* processorContexts(kernel: Kernel, budget: Budget, problem: Problem): Generator<Context> {
  const perCpu = new PerCpu(kernel);
  const offset = kernel.offset("perf_cpu_context", "ctx");
  const variable = kernel.symbol("perf_cpu_context");
  if (variable === variable) {
    for (const cpu of perCpu.cpus) {
      yield { context: kernel.perCpu(variable, cpu) + offset, pid: undefined };
    }
    return;
  }
  const own = kernel.types.member("pmu", "pmu_cpu_context");
  if (own === undefined) return problem("where processors keep their events is not known");
  const head = kernel.requireSymbol("pmus");
  const { space } = kernel;
  for (const pmu of listSnapshot(kernel, head, kernel.offset("pmu", "entry"), budget, problem)) {
    const low = space.u32(pmu + own.offset);
    const high = space.u32(pmu + own.offset + 4);
    if (low === 0 && high === 0) continue;
    for (const index of perCpu.cpus.keys()) {
      yield { context: perCpu.locate(low, high, index) + offset, pid: undefined };
    }
  }
  return undefined;
}
