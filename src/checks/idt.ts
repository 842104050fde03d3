import { Idt } from "../linux/idt.ts";
import type { Gate } from "../linux/idt.ts";
import type { Kernel } from "../linux/kernel.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { EXCEPTIONS, FIRST_EXTERNAL_VECTOR, SYSCALL_VECTOR } from "./idt-vectors.ts";

/** __KERNEL_CS (arch/x86/include/asm/segment.h). */
const KERNEL_CS = 0x10;
/** Gates that user mode may call: int3, into, int 0x80 (arch/x86/kernel/idt.c, SYSG). */
const USER_GATES: ReadonlySet<number> = new Set([3, 4, SYSCALL_VECTOR]);
/** Distance of entry stubs: IDT_ALIGN, 8, or 16 with IBT's ENDBR (arch/x86/include/asm/idtentry.h). */
const STUB_SIZES = [8, 16];
/** EARLY_IDT_HANDLER_SIZE (arch/x86/include/asm/segment.h), without and with ENDBR. */
const EARLY_STUB_SIZES = [9, 13];
/** Where FIRST_SYSTEM_VECTOR may lie (arch/x86/include/asm/irq_vectors.h); it moves with features. */
const LOWEST_SYSTEM_VECTOR = 0xe0;

/** Each gate of the interrupt descriptor table leads to the entry point of its vector. */
export const idt: Check = {
  id: "idt",
  proves:
    "Each of the 256 interrupt gates leads to the entry point that Linux has for that vector, with Linux's segment and privilege, and processors are given that very table.",
  reads: "idt_table, idt_descr",
  attack: ["T1014"],
  limits:
    "Which table a processor has really loaded is for control-registers; changed entry code is for kernel-text.",
  run(context) {
    const { kernel, facts } = context;
    const table = new Idt(kernel, facts.get(codeOwners));
    checkAlias(context, table);
    const gates = [...table.gates(() => {})];
    if (gates.length === 0) context.unseen("idt_table cannot be read");
    const system = firstSystemVector(gates);
    for (const gate of gates) {
      const wrong = gate.present ? problemOf(kernel, gate, system) : undefined;
      if (wrong !== undefined) reportGate(context, gate, wrong);
    }
    context.cover(gates.length, 256);
  },
};

/** `idt_descr` names a read-only mapping of `idt_table` (CPU_ENTRY_AREA_RO_IDT): the same page. */
function checkAlias(context: CheckContext, table: Idt): void {
  const { kernel, facts } = context;
  const alias = table.alias() ?? Number.NaN;
  const seen = kernel.space.physical(alias);
  if (seen === kernel.space.physical(kernel.requireSymbol("idt_table"))) return;
  context.report({
    severity: "critical",
    confidence: "high",
    title: "The interrupt table that the kernel gives its processors is not its own.",
    subject: { what: "idt_descr" },
    evidence: { seen: kernel.format(alias), place: facts.get(codeOwners).describe(alias) },
  });
}

/** What is wrong with a gate; undefined where nothing is. */
function problemOf(kernel: Kernel, gate: Gate, system: number | undefined): string | undefined {
  if (gate.type !== "interrupt") return "is of a type that Linux does not use";
  if (gate.selector !== KERNEL_CS) return "leads into another segment than the kernel's";
  if (gate.dpl !== 0 && !USER_GATES.has(gate.vector)) return "can be called by user programs";
  return leadsHome(kernel, gate, system) ? undefined : "does not lead to its entry point";
}

function leadsHome(kernel: Kernel, gate: Gate, system: number | undefined): boolean {
  const { vector, symbol, offset, owner } = gate;
  const exception = vector < FIRST_EXTERNAL_VECTOR ? EXCEPTIONS[vector] : undefined;
  if (owner === "freed") {
    // What no later step of boot replaced: an exception for which the kernel has no entry point.
    const early = symbol === "early_idt_handler_array" && vector < FIRST_EXTERNAL_VECTOR;
    const none = exception === undefined || Number.isNaN(kernel.symbol(`asm_exc_${exception}`));
    return early && none && EARLY_STUB_SIZES.some((size) => offset === vector * size);
  }
  if (owner !== "vmlinux" || symbol === undefined) return false;
  if (symbol === "irq_entries_start") {
    return STUB_SIZES.some((size) => offset === (vector - FIRST_EXTERNAL_VECTOR) * size);
  }
  if (symbol === "spurious_entries_start") {
    return STUB_SIZES.some((size) => offset === (vector - (system ?? Number.NaN)) * size);
  }
  if (offset !== 0) return false;
  if (vector === SYSCALL_VECTOR) return /^(asm_int80_emulation|entry_INT80_\w+)$/.test(symbol);
  if (vector >= FIRST_EXTERNAL_VECTOR) return /^asm_(xen_)?sysvec_\w+$/.test(symbol);
  return symbol === `asm_exc_${exception}` || symbol === `asm_xenpv_exc_${exception}`;
}

/** The vector of the first spurious stub, as most of the gates that use one say. */
function firstSystemVector(gates: readonly Gate[]): number | undefined {
  const votes = new Map<number, number>();
  for (const { vector, symbol, offset, present } of gates) {
    if (!present || symbol !== "spurious_entries_start") continue;
    for (const size of STUB_SIZES) {
      const first = vector - offset / size;
      if (!Number.isInteger(first) || first < LOWEST_SYSTEM_VECTOR) continue;
      votes.set(first, (votes.get(first) ?? 0) + 1);
    }
  }
  return [...votes].toSorted(([, a], [, b]) => b - a)[0]?.[0];
}

function reportGate(context: CheckContext, gate: Gate, wrong: string): void {
  context.report({
    severity: "critical",
    confidence: "high",
    title: `Interrupt gate ${gate.vector} ${wrong}: ${gate.target}.`,
    subject: { vector: gate.vector },
    evidence: {
      handler: context.kernel.format(gate.address),
      target: gate.target,
      owner: gate.owner ?? null,
      type: gate.type,
      dpl: gate.dpl,
      selector: gate.selector,
    },
  });
}
