import { irqCallbacks } from "../linux/irq.ts";
import { LISTED, checkCallbacks } from "./callbacks.ts";
import type { Check } from "./check.ts";
import { tellOwnerProblems } from "./function-target.ts";

/** Interrupts of devices go to the kernel and to drivers that it lists. */
export const irqHandlers: Check = {
  id: "irq-handlers",
  proves:
    "Each interrupt's flow handler, the functions of its chip, and the handlers and threads that drivers registered for it are functions of the kernel or of a listed module.",
  reads: "sparse_irqs or irq_desc_tree; each irq_desc with its actions and chip",
  attack: ["T1014", "T1056.001"],
  limits:
    "Exceptions and the vectors of the processor itself are for the check of the interrupt table. That a listed module shares the keyboard's interrupt is not reported.",
  run(context) {
    const { kernel } = context;
    tellOwnerProblems(context);
    const problem = (reason: string): void => context.unseen(reason);
    const looked = checkCallbacks(context, irqCallbacks(kernel, kernel.budget(), problem), LISTED);
    if (looked === 0) context.unseen("no interrupt was found, and every machine has some");
    context.cover(looked);
  },
};
