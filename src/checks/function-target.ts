import type { GuestVirtual } from "../base/address.ts";
import { Modules } from "../linux/module.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import type { Confidence, Json, Severity } from "./finding.ts";
import { fact } from "./sweep-facts.ts";

/**
 * Whose code a pointer may lead to: the kernel's alone, also a module's of the distribution, or any
 * module's that the kernel lists. Code that the kernel made itself (BPF, ftrace) always counts as its own.
 */
export type Allowed = "kernel" | "distribution" | "listed";

/** A pointer to a function, and what to say where it leads astray. */
export type FunctionPointer = {
  /** What it is for people: `The probe of tracepoint sys_enter`. */
  readonly what: string;
  readonly subject: Readonly<Record<string, Json>>;
  readonly target: GuestVirtual;
  /** Where the pointer lies. */
  readonly slot?: GuestVirtual;
  readonly allowed: Allowed;
  /** How bad a module's code is that is not allowed; `critical` unless told. */
  readonly module?: Severity;
  readonly attack?: Check["attack"];
};

type Verdict = {
  readonly severity: Severity;
  readonly confidence: Confidence;
  readonly why: string;
};

/** TAINT_FORCED_MODULE, TAINT_OOT_MODULE, TAINT_UNSIGNED_MODULE (include/linux/panic.h), as letters. */
const FOREIGN = /[FOE]/;

/**
 * Modules that are not the distribution's: from outside the kernel's tree, unsigned or forced. One
 * whose signature did not hold is tainted for it (`sig_ok`, kernel/module/main.c): without the taint
 * somebody took it away.
 */
export const foreignModules = fact(({ kernel }) => {
  const foreign = new Set<GuestVirtual>();
  const isSigned = kernel.readerOf("module", "sig_ok") ?? (() => 1);
  for (const { module, taints } of new Modules(kernel).all(kernel.budget())) {
    if (FOREIGN.test(taints) || isSigned(module) === 0) foreign.add(module);
  }
  return foreign;
});

/** Reports a pointer that leads to what it may not lead to. Returns whether it was looked at. */
export function checkFunction(context: CheckContext, pointer: FunctionPointer): boolean {
  const { target } = pointer;
  if (target !== target) {
    context.unseen(`where ${decapitalize(pointer.what)} leads cannot be read`);
    return false;
  }
  const verdict = judge(context, pointer);
  if (verdict === undefined) return true;
  const owners = context.facts.get(codeOwners);
  // `tellOwnerProblems` says why.
  if (owners.mayHaveOwner(target)) return false;
  const { severity, confidence, why } = verdict;
  context.report({
    severity,
    confidence,
    title: `${pointer.what} leads to ${why}: ${owners.describe(target)}.`,
    subject: pointer.subject,
    ...(pointer.attack === undefined ? {} : { attack: pointer.attack }),
    evidence: {
      target: owners.describe(target),
      seen: context.kernel.format(target),
      owner: owners.ownerOf(target)?.name ?? null,
      ...(pointer.slot === undefined ? {} : { slot: context.kernel.format(pointer.slot) }),
    },
  });
  return true;
}

/** Whether a pointer leads where it may: for places with many, before what to say is put together. */
export function leadsWell(
  context: CheckContext,
  target: GuestVirtual,
  rule: Pick<FunctionPointer, "allowed">,
): boolean {
  return target === target && judge(context, { target, ...rule }) === undefined;
}

/** What is wrong with where it leads, or undefined. */
function judge(
  context: CheckContext,
  pointer: Pick<FunctionPointer, "target" | "allowed" | "module">,
): Verdict | undefined {
  const { target, allowed, module = "critical" } = pointer;
  const owners = context.facts.get(codeOwners);
  const owner = owners.ownerOf(target);
  if (owner === undefined) {
    // A list that could not be read to its end may have had the owner.
    const confidence = owners.problems.length === 0 ? "high" : "low";
    return { severity: "critical", confidence, why: "memory of nobody" };
  }
  if (owner.kind === "freed") return sure("memory that was given back after boot");
  if (owner.part !== "text" && owner.part !== "init_text") return sure("memory that holds data");
  if (owner.kind === "kernel") {
    return owner.offset === 0 ? undefined : sure("the middle of a kernel function");
  }
  if (owner.kind !== "module" || allowed === "listed") return undefined;
  const space = owners.moduleAt(target);
  const foreign = space !== undefined && context.facts.get(foreignModules).has(space.module);
  if (allowed === "distribution" && !foreign) return undefined;
  const confidence = allowed === "kernel" ? "high" : "medium";
  const whose = foreign ? "a module that is not the distribution's" : "a module";
  return { severity: module, confidence, why: `code of ${whose}` };
}

function sure(why: string): Verdict {
  return { severity: "critical", confidence: "high", why };
}

/** Says once for a check what could not be read of the lists of code's owners. */
export function tellOwnerProblems(context: CheckContext): void {
  for (const problem of context.facts.get(codeOwners).problems) context.unseen(problem);
}

function decapitalize(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}
