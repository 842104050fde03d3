import { registered, registries, variableFunctions } from "../linux/registered-callbacks.ts";
import { LISTED, checkCallbacks } from "./callbacks.ts";
import type { CallbackRule } from "./callbacks.ts";
import type { Check } from "./check.ts";
import { tellOwnerProblems } from "./function-target.ts";

/** Program formats, magic keys and who hears of keys: the kernel's and the distribution's; others are told. */
const STRICT: CallbackRule = { allowed: "distribution", module: "medium" };

/** Whatever registered itself with the kernel leads to code that somebody answers for. */
export const registeredCallbacks: Check = {
  id: "registered-callbacks",
  proves:
    "Program formats, network protocols and families, traffic control, consoles, log dumpers, file systems, shrinkers, key types, performance units and the like lead to functions of the kernel or of a listed module; program formats, magic keys and handlers of input to none of a foreign module.",
  reads: registries.map(({ symbol }) => symbol).join(", "),
  attack: ["T1014", "T1546", "T1056.001"],
  shares: ["kernel data"],
  limits:
    "That a listed module registered something is not reported, except a foreign one's program format, magic key or handler of input. Functions that are only called while booting are left out.",
  run(context) {
    const { kernel } = context;
    const budget = kernel.budget();
    const problem = (reason: string): void => context.unseen(reason);
    tellOwnerProblems(context);
    let looked = 0;
    for (const registry of registries) {
      const callbacks = registered(kernel, registry, budget, problem);
      looked += checkCallbacks(context, callbacks, registry.strict === true ? STRICT : LISTED);
    }
    looked += checkCallbacks(context, variableFunctions(kernel), LISTED);
    if (looked === 0) context.unseen("nothing registered was found, and every kernel has formats");
    context.cover(looked);
  },
};
