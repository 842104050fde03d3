import { kernelThreads } from "../linux/kthread-function.ts";
import type { Check } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { checkFunction, tellOwnerProblems } from "./function-target.ts";

/** Kernel threads run code of the kernel and of modules that it lists. */
export const kernelThreadFunctions: Check = {
  id: "kernel-thread-functions",
  proves:
    "Each kernel thread was started with a function of the kernel or of a listed module, and so is the work that waits in threads that are workers of their own.",
  reads: "struct kthread of each kernel thread; kthread_worker lists",
  attack: ["T1014"],
  limits:
    "What a thread calls by now is not on record: its stack is not followed. A thread hidden from the task list is for hidden-process.",
  run(context) {
    const { kernel, facts } = context;
    const owners = facts.get(codeOwners);
    tellOwnerProblems(context);
    let looked = 0;
    const problem = (reason: string): void => context.unseen(reason);
    for (const thread of kernelThreads(kernel, kernel.budget(), problem)) {
      const { what, function: target, holder, pid, comm } = thread;
      looked++;
      const text = what === "kernel thread" ? `Kernel thread ${pid} (${comm})` : `A ${what} ${pid}`;
      checkFunction(context, {
        what: text,
        subject: { pid, holder: what, target: owners.describe(target) },
        target,
        slot: holder,
        allowed: "listed",
      });
    }
    if (looked === 0) context.unseen("no kernel thread was found, and every kernel has some");
    context.cover(looked);
  },
};
