import { queuedTasklets, rcuCallbacks, softirqActions } from "../linux/softirq.ts";
import { LISTED, checkCallbacks } from "./callbacks.ts";
import type { Check } from "./check.ts";
import { tellOwnerProblems } from "./function-target.ts";

/** What the kernel puts off until after an interrupt is done by its own code. */
export const softirqs: Check = {
  id: "softirqs",
  proves:
    "Each kind of soft interrupt is handled by the kernel itself, and tasklets and callbacks of RCU that wait call functions of the kernel or of a listed module.",
  reads: "softirq_vec; tasklet_vec, tasklet_hi_vec and rcu_data of each processor",
  attack: ["T1014"],
  limits:
    "Tasklets and callbacks of RCU wait for moments only: of a queue that is being worked off the rest is left out.",
  run(context) {
    const { kernel } = context;
    const budget = kernel.budget();
    const problem = (reason: string): void => context.unseen(reason);
    tellOwnerProblems(context);
    const actions = checkCallbacks(context, softirqActions(kernel), { allowed: "kernel" });
    if (actions === 0) context.unseen("no soft interrupt has an action");
    const queued =
      checkCallbacks(context, queuedTasklets(kernel, budget), LISTED) +
      checkCallbacks(context, rcuCallbacks(kernel, budget, problem), LISTED);
    context.cover(actions + queued);
  },
};
