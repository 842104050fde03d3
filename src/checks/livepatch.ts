import { livepatches } from "../linux/livepatch.ts";
import type { Livepatch } from "../linux/livepatch.ts";
import { Modules } from "../linux/module.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { checkFunction, foreignModules, tellOwnerProblems } from "./function-target.ts";

/**
 * What shows folders, processes, connections, modules and the log, and what passes on signals: what
 * rootkits replace. A suffix of the compiler's may follow.
 */
const SHOWS =
  /^((__(x64|ia32|ia32_compat)_sys_(getdents(64)?|old_readdir|kill|tkill|tgkill|bpf|finit_module|init_module|delete_module))|(compat_)?filldir(64)?|(compat_)?fillonedir|iterate_dir|proc_pid_readdir|proc_root_readdir|next_tgid|proc_pid_lookup|(tcp|udp|raw|udp4|tcp4|udp6|tcp6|raw6|unix|packet|netlink|ping_v[46])_seq_show|(inet_sk_diag_fill|inet_sk_attr_fill)|sk_diag_fill|m_show|s_show|kallsyms_open|devkmsg_read|do_syslog|packet_rcv|tpacket_rcv|packet_rcv_spkt|audit_log_start|audit_log_end)(\.|$)/;

/** Patches of the running kernel come from modules that it lists, and lead into these. */
export const livepatch: Check = {
  id: "livepatch",
  proves:
    "Each livepatch belongs to a module that the kernel lists, each function that it puts in another's place is one of that module, and its callbacks lead to code; and none that is not the distribution's replaces what shows files, processes, connections, modules or the log.",
  reads: "klp_patches with objects and functions; klp_transition_patch",
  attack: ["T1014"],
  limits:
    "What a patch of the distribution does is not judged, nor what one from elsewhere does that leaves alone what shows files, processes, connections and modules; and whose it is only by its module: `kvmsec probes` lists every function that is replaced.",
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
    if (module !== undefined && facts.get(foreignModules).has(module.module) && SHOWS.test(name)) {
      context.report({
        severity: "high",
        confidence: "medium",
        title: `A livepatch that is not the distribution's (${module.name}) replaces ${name}, which shows what there is.`,
        subject: { patch: module.name, function: name },
        evidence: { seen: kernel.format(to), target: owners.describe(to), patch: at },
      });
    }
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
