import { ftraceCallbacks } from "../linux/ftrace-callbacks.ts";
import { ftraceUsers } from "../linux/ftrace.ts";
import type { FtraceOps } from "../linux/ftrace.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { checkFunction, tellOwnerProblems } from "./function-target.ts";

/** Whoever is called through ftrace is the kernel (tracers, kprobes, livepatch, BPF) or known. */
export const ftrace: Check = {
  id: "ftrace",
  proves:
    "Each user of ftrace is called in a function of the kernel itself (tracers, perf, kprobes, livepatch, BPF) or of a module of the distribution, through a trampoline that ftrace made.",
  reads:
    "ftrace_ops_list with callbacks, trampolines, direct calls and function probes; fgraph_array, fprobe_table, direct_functions",
  attack: ["T1014"],
  limits:
    "Which functions a user traces is not judged; call sites that lead past this list are for kernel-text.",
  run(context) {
    const { kernel } = context;
    tellOwnerProblems(context);
    if (context.without("ftrace")) return;
    let looked = 0;
    for (const user of ftraceUsers(kernel, (reason) => context.unseen(reason))) {
      looked++;
      checkUser(context, user);
    }
    for (const each of ftraceCallbacks(kernel, (reason) => context.unseen(reason))) {
      looked++;
      checkFunction(context, {
        what: `The ${each.what}`,
        subject: { holder: kernel.format(each.holder), what: each.what },
        target: each.function,
        slot: each.holder,
        allowed: "distribution",
        module: "high",
      });
    }
    context.cover(looked);
  },
};

function checkUser(
  context: CheckContext,
  { ops, function: call, trampoline, direct, handlers }: FtraceOps,
): void {
  const at = context.kernel.format(ops);
  const pointer = (name: string, target: number): void => {
    checkFunction(context, {
      what: `The ${name} of an ftrace user`,
      subject: { ops: at, pointer: name },
      target,
      slot: ops,
      allowed: "distribution",
      module: "high",
    });
  };
  pointer("callback", call);
  for (const { name, target } of handlers) pointer(name.replace("_", " "), target);
  if (direct !== 0) pointer("direct call", direct);
  if (trampoline !== 0) checkTrampoline(context, at, trampoline);
}

/** A trampoline is ftrace's code, or the kernel's own `ftrace_caller`. */
function checkTrampoline(context: CheckContext, ops: string, trampoline: number): void {
  const owners = context.facts.get(codeOwners);
  const owner = owners.ownerOf(trampoline);
  const own = owner?.kind === "kernel" && /^ftrace_(regs_|graph_)?caller$/.test(owner.symbol ?? "");
  if (own || owner?.kind === "ftrace" || owner?.kind === "bpf") return;
  if (owners.mayHaveOwner(trampoline)) return;
  context.report({
    severity: "critical",
    confidence: owners.problems.length === 0 ? "high" : "low",
    title: `The trampoline of an ftrace user is not ftrace's: ${owners.describe(trampoline)}.`,
    subject: { ops, pointer: "trampoline" },
    evidence: { seen: context.kernel.format(trampoline), owner: owner?.name ?? null },
  });
}
