import type { CodeOwner } from "../linux/code-owner.ts";
import { GeneratedBranches } from "../linux/generated-branches.ts";
import type { BranchOut } from "../linux/generated-branches.ts";
import type { GeneratedCode } from "../linux/generated-code.ts";
import type { Kernel } from "../linux/kernel.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { disassembly } from "./code-report.ts";
import { foreignModules, tellOwnerProblems } from "./function-target.ts";
import { legalTargets } from "./legal-targets.ts";

const known = new WeakMap<Kernel, GeneratedBranches>();

/** Code that the kernel wrote itself calls the kernel, its modules, and other such code. */
export const generatedCode: Check = {
  id: "generated-code",
  proves:
    "No call or jump in the machine code of BPF programs, in BPF's trampolines or in those of ftrace leads to memory of nobody, to data, or to a module that is not the distribution's.",
  reads: "code of bpf_kallsyms and of ftrace_ops_trampoline_list",
  attack: ["T1014"],
  shares: ["kernel text"],
  limits:
    "Where a call was sent to another function of the kernel is not told. Code that kprobes moved away, classic filters and the pages of struct_ops are not followed.",
  run(context) {
    const { kernel, facts } = context;
    tellOwnerProblems(context);
    const branches = known.get(kernel) ?? new GeneratedBranches(kernel);
    known.set(kernel, branches);
    const { generated } = facts.get(codeOwners);
    let unread = 0;
    const pieces = branches.of(generated, () => unread++);
    for (const [code, out] of pieces) {
      for (const branch of out) checkBranch(context, code, branch);
    }
    if (unread > 0) context.unseen(`${unread} pieces of generated code are not in memory`);
    // Many guests have no such code: that the lists were looked at counts.
    context.cover(1 + pieces.length, 1 + pieces.length + unread);
  },
};

function checkBranch(context: CheckContext, code: GeneratedCode, { at, target }: BranchOut): void {
  const { kernel, facts } = context;
  const owners = facts.get(codeOwners);
  if (owners.mayHaveOwner(target)) return;
  const why = judge(context, owners.ownerOf(target), target);
  if (why === undefined) return;
  // Whose the handlers of tracers are is told by the check ftrace.
  if (code.kind === "ftrace" && facts.get(legalTargets).targets.isTracer(target)) return;
  context.report({
    severity: why.isSure ? "critical" : "high",
    confidence: owners.problems.length > 0 ? "low" : why.isSure ? "high" : "medium",
    title: `Code that the kernel wrote (${code.name}) leads to ${why.says}: ${owners.describe(target)}.`,
    subject: { code: code.name, target: owners.describe(target) },
    evidence: {
      address: kernel.format(at),
      seen: kernel.format(target),
      target: owners.describe(target),
      code: disassembly(context, at),
    },
  });
}

type Verdict = { readonly says: string; readonly isSure: boolean };

function judge(
  { facts }: CheckContext,
  owner: CodeOwner | undefined,
  target: number,
): Verdict | undefined {
  if (owner === undefined) return { says: "memory of nobody", isSure: true };
  if (owner.kind === "freed") {
    return { says: "memory that was given back after boot", isSure: true };
  }
  if (owner.part !== "text" && owner.part !== "init_text") {
    return { says: "memory that holds data", isSure: true };
  }
  const home = facts.get(codeOwners).moduleAt(target)?.module ?? 0;
  return facts.get(foreignModules).has(home)
    ? { says: "code of a module that is not the distribution's", isSure: false }
    : undefined;
}
