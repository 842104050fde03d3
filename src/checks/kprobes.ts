import { kprobeHandlers } from "../linux/kprobe-handlers.ts";
import type { Check } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { checkFunction, tellOwnerProblems } from "./function-target.ts";

/** Each kprobe is handled by the kernel (tracing, perf, BPF) or by a module of the distribution. */
export const kprobes: Check = {
  id: "kprobes",
  proves:
    "Each handler of a kprobe or kretprobe is a function of the kernel itself (tracing, perf, BPF) or of a module of the distribution.",
  reads: "kprobe_table with aggregated and return probes",
  attack: ["T1014"],
  limits:
    "Where a probe lies is not judged. Probes that are registered but not in the table are not seen.",
  run(context) {
    const { kernel, facts } = context;
    tellOwnerProblems(context);
    if (context.without("kprobes")) return;
    kernel.requireSymbol("kprobe_table");
    kernel.offset("kprobe", "hlist");
    let looked = 0;
    for (const handler of kprobeHandlers(kernel, (reason) => context.unseen(reason))) {
      looked++;
      const place = facts.get(codeOwners).describe(handler.address);
      checkFunction(context, {
        what: `The ${handler.name} of a probe at ${place}`,
        subject: { place, probe: kernel.format(handler.probe), handler: handler.name },
        target: handler.target,
        slot: handler.probe,
        allowed: "distribution",
        module: "medium",
      });
    }
    context.cover(looked);
  },
};
