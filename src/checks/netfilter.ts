import { NetNamespaces } from "../linux/net-namespace.ts";
import { NetfilterHooks } from "../linux/netfilter.ts";
import type { Check } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { checkFunction, tellOwnerProblems } from "./function-target.ts";

/** Packets pass through no hook but those of the kernel and the distribution's modules. */
export const netfilter: Check = {
  id: "netfilter",
  proves:
    "Each netfilter hook of every network namespace and device is a function of the kernel or of a module of the distribution.",
  reads: "nf.hooks_* of each namespace, nf_hooks_ingress and nf_hooks_egress of each device",
  attack: ["T1014", "T1205"],
  limits: "What rules a firewall has is not judged.",
  run(context) {
    const { kernel, facts } = context;
    const problem = (reason: string): void => context.unseen(reason);
    if (context.without("netfilter")) return;
    const budget = kernel.budget();
    const namespaces = new NetNamespaces(kernel);
    const hooks = new NetfilterHooks(kernel);
    let looked = 0;
    tellOwnerProblems(context);
    for (const net of namespaces.all(budget, problem)) {
      for (const { family, hook, device, function: target } of hooks.all(net, budget, problem)) {
        looked++;
        const netns = namespaces.inum(net) ?? null;
        checkFunction(context, {
          what: `A netfilter hook (${family} ${hook})`,
          subject: {
            family,
            hook,
            netns,
            device: device ?? null,
            target: facts.get(codeOwners).describe(target),
          },
          target,
          allowed: "distribution",
          module: "medium",
        });
      }
    }
    context.cover(looked);
  },
};
