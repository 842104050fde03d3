import type { GuestVirtual } from "../base/address.ts";
import { platformPointers, staticCallTargets } from "../linux/kernel-pointers.ts";
import type { KernelPointer } from "../linux/kernel-pointers.ts";
import type { Kernel } from "../linux/kernel.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { checkFunction, tellOwnerProblems } from "./function-target.ts";
import type { Allowed } from "./function-target.ts";

/** Pointers that boot sets once, and static calls, lead to the start of a function of the kernel. */
export const kernelPointers: Check = {
  id: "kernel-pointers",
  proves:
    "Paravirtual, platform, interrupt-controller and performance-unit operations, ftrace's functions, and all static calls lead to the first byte of a kernel function, or, for static calls, of a module of the distribution or of generated code.",
  reads:
    "pv_ops, x86_platform, x86_cpuinit, x86_apic_ops, x86_msi, x86_pmu, apic, legacy_pic, ftrace_trace_function and its kin, every __SCK__ key",
  attack: ["T1014"],
  shares: ["kernel data"],
  limits:
    "A pointer that was sent to another function of the kernel is not seen; static calls are also patched into code, which kernel-text compares with their keys. Static calls of modules are not read.",
  run(context) {
    tellOwnerProblems(context);
    let looked = 0;
    const problem = (reason: string): void => context.unseen(reason);
    for (const pointer of platformPointers(context.kernel, problem)) {
      looked++;
      checkPointer(context, pointer, pointer.name.startsWith("ftrace_") ? "listed" : "kernel");
    }
    for (const pointer of staticCallTargets(context.kernel, problem)) {
      looked++;
      checkPointer(context, pointer, "distribution");
    }
    context.cover(looked);
  },
};

/** Functions of the kernel stay where they are: each is looked up once. */
const functions = new WeakMap<Kernel, Set<GuestVirtual>>();

function checkPointer(context: CheckContext, pointer: KernelPointer, allowed: Allowed): void {
  const { kernel, facts } = context;
  const { name, slot, target } = pointer;
  const known = functions.get(kernel) ?? new Set();
  functions.set(kernel, known);
  if (known.has(target)) return;
  const owner = facts.get(codeOwners).ownerOf(target);
  // What only boot calls may still name a function that was freed after it.
  if (owner?.kind === "freed" && owner.offset === 0) return;
  if (owner?.kind === "kernel" && owner.part === "text" && owner.offset === 0) {
    known.add(target);
    return;
  }
  checkFunction(context, {
    what: name.startsWith("static") ? `The ${name}` : `Function ${name}`,
    subject: { pointer: name },
    target,
    slot,
    allowed,
  });
}
