import { hookArrays, lsmHooks as hooksOf } from "../linux/lsm-hooks.ts";
import type { Check } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { checkFunction, tellOwnerProblems } from "./function-target.ts";

/** Decisions of the security modules are made by the kernel's own code, and none was taken away. */
export const lsmHooks: Check = {
  id: "lsm-hooks",
  proves:
    "Each security hook leads to a function of the kernel itself or of BPF, and of every security module that is in force all hooks are called.",
  reads: "security_hook_heads or static_calls_table; the arrays that security modules registered",
  attack: ["T1014", "T1562.001", "T1685"],
  shares: ["kernel data"],
  limits:
    "Modes of SELinux and AppArmor are for security-modules. A module all of whose hooks were taken away looks like one that was never on.",
  run(context) {
    const { kernel, facts } = context;
    tellOwnerProblems(context);
    if (context.without("security")) return;
    const called = new Set<number>();
    let looked = 0;
    let whole = true;
    const problem = (reason: string): void => {
      whole = false;
      context.unseen(reason);
    };
    for (const { hook, entry, target } of hooksOf(kernel, problem)) {
      called.add(entry);
      looked++;
      // Security modules are part of the image: no loadable module may register hooks.
      checkFunction(context, {
        what: `Security hook ${hook}`,
        subject: { hook, entry: facts.get(codeOwners).describe(entry) },
        target,
        slot: entry,
        allowed: "kernel",
      });
    }
    if (looked === 0) context.unseen("no security hook was found, and every kernel has some");
    // Of lists that were not read to their end nothing is missing.
    for (const { name, missing } of whole ? hookArrays(kernel, called) : []) {
      for (const entry of missing) {
        const target = kernel.addressReader("security_hook_list", "hook")(entry);
        const place = facts.get(codeOwners).describe(target);
        context.report({
          severity: "critical",
          confidence: "high",
          title: `Security hook ${place} of ${name} is not called any more.`,
          subject: { array: name, missing: place },
          evidence: { entry: kernel.format(entry), hook: place },
        });
      }
    }
    context.cover(looked);
  },
};
