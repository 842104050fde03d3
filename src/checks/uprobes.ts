import { uprobes as probesOf } from "../linux/uprobe.ts";
import type { Check } from "./check.ts";
import { checkFunction, tellOwnerProblems } from "./function-target.ts";

/** Each probe in a program is handled by the kernel (tracing, perf, BPF) or a module of the distribution. */
export const uprobes: Check = {
  id: "uprobes",
  proves:
    "Each handler of a uprobe is a function of the kernel itself (tracing, perf, BPF) or of a module of the distribution.",
  reads: "uprobes_tree with the consumers of each probe",
  attack: ["T1014", "T1056.004"],
  limits:
    "Which programs are probed is not judged: `kvmsec probes` lists them, and who reads what a probe tells is for the checks of BPF and perf events.",
  run(context) {
    const { kernel } = context;
    tellOwnerProblems(context);
    if (context.without("uprobes")) return;
    const root = kernel.requireSymbol("uprobes_tree");
    // The tree itself is one thing that was looked at: most guests have no uprobe.
    let looked = kernel.space.pointer(root) === 0 ? 1 : 0;
    const problem = (reason: string): void => context.unseen(reason);
    for (const { handlers, inode, offset } of probesOf(kernel, kernel.budget(), problem)) {
      looked++;
      const place = { inode: kernel.format(inode), offset };
      for (const { name, target, consumer } of handlers) {
        checkFunction(context, {
          what: `The ${name.replace("_", " ")} of a uprobe at offset 0x${offset.toString(16)}`,
          subject: { ...place, handler: name },
          target,
          slot: consumer,
          allowed: "distribution",
          module: "medium",
        });
      }
    }
    context.cover(looked);
  },
};
