import {
  claimedEntries,
  registered,
  registries,
  variableFunctions,
} from "../linux/registered-callbacks.ts";
import { messageHandlers } from "../linux/rtnetlink.ts";
import { LISTED, checkCallbacks } from "./callbacks.ts";
import type { CallbackRule } from "./callbacks.ts";
import type { Check } from "./check.ts";
import { tellOwnerProblems } from "./function-target.ts";
import { OperationsChecker, strangerTo } from "./operations.ts";

/** Program formats, magic keys and who hears of keys: the kernel's and the distribution's; others are told. */
const STRICT: CallbackRule = { allowed: "distribution", module: "medium" };
/** What answers `ip`: the kernel and the distribution's modules alone. */
const TAKEN_OVER: CallbackRule = { allowed: "distribution", module: "high" };

/** Whatever registered itself with the kernel leads to code that somebody answers for. */
export const registeredCallbacks: Check = {
  id: "registered-callbacks",
  proves:
    "Program formats, network protocols and families, traffic control, consoles, log dumpers, file systems, shrinkers, key types, performance units and the like lead to functions of the kernel or of a listed module; program formats, magic keys, handlers of input, and what handles the kernel's own protocols, socket families and rtnetlink messages to none of a foreign module.",
  reads: [...registries.map(({ symbol }) => symbol), "rtnl_msg_handlers"].join(", "),
  attack: ["T1014", "T1546", "T1056.001"],
  shares: ["kernel data"],
  limits:
    "That a listed module registered something is not reported, except a foreign one's program format, magic key, handler of input or of what the kernel handles itself. Functions that are only called while booting are left out.",
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
    looked += checkCallbacks(context, messageHandlers(kernel, budget), TAKEN_OVER);
    const checker = new OperationsChecker(context);
    for (const { what, ...each } of claimedEntries(kernel)) {
      const stranger = strangerTo(context, each.table, 0);
      checker.check({ what: `The functions of ${what}`, ...each, subject: { what }, stranger });
    }
    if (looked === 0) context.unseen("nothing registered was found, and every kernel has formats");
    context.cover(looked);
  },
};
