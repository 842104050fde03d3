import { livepatches } from "../linux/livepatch.ts";
import type { Livepatch } from "../linux/livepatch.ts";
import { Modules } from "../linux/module.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { checkFunction, tellOwnerProblems } from "./function-target.ts";

/** Patches of the running kernel come from modules that it lists, and lead into these. */
export const livepatch: Check = {
  id: "livepatch",
  proves:
    "Each livepatch belongs to a module that the kernel lists, each function that it puts in another's place is one of that module, and its callbacks lead to code.",
  reads: "klp_patches with objects and functions; klp_transition_patch",
  attack: ["T1014"],
  limits:
    "What a patch does is not judged, and whose it is only by its module: `kvmsec probes` lists every function that is replaced.",
  run(context) {
    const { kernel } = context;
    const problem = (reason: string): void => context.unseen(reason);
    if (context.without("livepatch")) return;
    kernel.requireSymbol("klp_patches");
    tellOwnerProblems(context);
    let looked = 1;
    for (const patch of livepatches(kernel, kernel.budget(), problem)) {
      looked += patch.functions.length;
      checkPatch(context, patch);
    }
    context.cover(looked);
  },
};

function checkPatch(context: CheckContext, patch: Livepatch): void {
  const { kernel, facts } = context;
  const owners = facts.get(codeOwners);
  const at = kernel.format(patch.patch);
  const module = owners.modules.find((each) => each.module === patch.module);
  if (module === undefined && owners.undecoded.length === 0) {
    context.report({
      severity: "critical",
      confidence: owners.problems.length === 0 ? "high" : "low",
      title: `A livepatch of ${patch.functions.length} functions belongs to no module that the kernel lists.`,
      subject: { patch: at },
      evidence: {
        module: kernel.format(patch.module),
        name: new Modules(kernel).name(patch.module) ?? null,
        functions: patch.functions.map(({ name }) => name),
      },
    });
  }
  for (const { name, to, nop } of patch.functions) {
    // Where it only puts back the original there is no other function.
    if (nop || to === 0) continue;
    const what = `The function that a livepatch puts in place of ${name}`;
    const subject = { patch: at, function: name };
    if (owners.moduleAt(to) === module || module === undefined) {
      checkFunction(context, { what, subject, target: to, slot: patch.patch, allowed: "listed" });
      continue;
    }
    context.report({
      severity: "critical",
      confidence: "high",
      title: `${what} is not one of its module ${module.name}: ${owners.describe(to)}.`,
      subject,
      evidence: { seen: kernel.format(to), expected: module.name },
    });
  }
  for (const { name, target } of patch.callbacks) {
    const what = `The callback ${name} of a livepatch`;
    checkFunction(context, {
      what,
      subject: { patch: at, callback: name },
      target,
      slot: patch.patch,
      allowed: "listed",
    });
  }
}
