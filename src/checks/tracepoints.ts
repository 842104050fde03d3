import { tracepointProbes } from "../linux/tracepoint.ts";
import type { TracepointProbe } from "../linux/tracepoint.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { checkFunction, tellOwnerProblems } from "./function-target.ts";

/** Each probe at a tracepoint is the kernel's (tracing, perf, BPF) or a module's of the distribution. */
export const tracepoints: Check = {
  id: "tracepoints",
  proves:
    "Each probe at a tracepoint of the kernel or of a module is a function of the kernel itself (tracing, perf, BPF), of that module, or of a module of the distribution.",
  reads: "__start___tracepoints_ptrs, modules' tracepoints, their probes and static calls",
  attack: ["T1014"],
  limits:
    "Tracers that come as a module of their own (LTTng, sysdig) are reported: nothing tells them from an intruder's.",
  run(context) {
    tellOwnerProblems(context);
    if (context.without("tracepoints")) return;
    let looked = 0;
    const problem = (reason: string): void => context.unseen(reason);
    for (const probe of tracepointProbes(context.kernel, problem, () => looked++)) {
      checkProbe(context, probe);
    }
    if (looked === 0) context.unseen("no tracepoint was found, and this kernel has some");
    context.cover(looked);
  },
};

function checkProbe(context: CheckContext, { name, module, role, target }: TracepointProbe): void {
  // The probes that the trace macros made for a module's tracepoint lie in that module.
  const own =
    module !== undefined && context.facts.get(codeOwners).moduleAt(target)?.module === module;
  checkFunction(context, {
    what: `The ${role} of tracepoint ${name}`,
    subject: { tracepoint: name, role, target: context.facts.get(codeOwners).describe(target) },
    target,
    allowed: own ? "listed" : "distribution",
    module: "medium",
  });
}
