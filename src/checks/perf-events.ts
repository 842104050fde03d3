import { perfEvents as eventsOf } from "../linux/perf-event.ts";
import type { PerfEvent } from "../linux/perf-event.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { checkFunction, tellOwnerProblems } from "./function-target.ts";

/** Samples and breakpoints of perf go to the kernel or to modules of the distribution. */
export const perfEvents: Check = {
  id: "perf-events",
  proves:
    "Each perf event, hardware breakpoints among them, calls a function of the kernel itself (perf, ptrace, BPF, watchdog) or of a module of the distribution.",
  reads: "perf_cpu_context or each pmu's pmu_cpu_context; perf_event_ctxp of each thread",
  attack: ["T1014"],
  limits: "What is counted, and who reads it, is not judged: `kvmsec probes` lists the events.",
  run(context) {
    const { kernel } = context;
    const problem = (reason: string): void => context.unseen(reason);
    tellOwnerProblems(context);
    // The contexts themselves were looked at, even where nothing is counted.
    let looked = 1;
    for (const event of eventsOf(kernel, kernel.budget(), problem)) {
      looked++;
      checkEvent(context, event);
    }
    context.cover(looked);
  },
};

function checkEvent(
  context: CheckContext,
  { event, type, pid, overflow, destroy }: PerfEvent,
): void {
  const owners = context.facts.get(codeOwners);
  const whose = pid === undefined ? "a processor" : `thread ${pid}`;
  for (const [name, target] of [
    ["overflow handler", overflow],
    ["destructor", destroy],
  ] as const) {
    if (target === 0) continue;
    checkFunction(context, {
      what: `The ${name} of a perf event (type ${type}) of ${whose}`,
      subject: { type, pid: pid ?? null, pointer: name, target: owners.describe(target) },
      target,
      slot: event,
      allowed: "distribution",
      module: "medium",
    });
  }
}
