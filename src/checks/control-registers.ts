import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "../linux/kernel.ts";
import { segmentTables } from "../linux/gdt.ts";
import type { ProcessorRegisters } from "../vm/processors.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";

const CR0_WP = 1n << 16n;
const CR0_PG = 1n << 31n;
const EFER_NXE = 1n << 11n;

/**
 * A protection that is on in CR4 where the processor has it: its bit, and X86_FEATURE_*
 * (cpufeatures.h). A kernel can be built without UMIP (CONFIG_X86_UMIP), and then lacks its handler.
 */
const CR4_BITS = [
  { name: "SMEP", bit: 20n, feature: 9 * 32 + 7, handler: undefined },
  { name: "SMAP", bit: 21n, feature: 9 * 32 + 20, handler: undefined },
  { name: "UMIP", bit: 11n, feature: 16 * 32 + 2, handler: "fixup_umip_exception" },
] as const;

/** Protections of the processor are on, and its tables and entry points are the kernel's. */
export const controlRegisters: Check = {
  id: "control-registers",
  proves:
    "On each virtual processor write protection, NX, SMEP, SMAP and UMIP are on as the kernel set them up, and the interrupt, segment and system-call entry points are the kernel's own.",
  reads:
    "CR0, CR4, EFER, IDTR, GDTR and LSTAR of each vCPU; boot_cpu_data, cr4_pinned_bits, idt_descr",
  attack: ["T1014", "T1562", "T1685"],
  limits:
    "Registers come from QEMU's monitor or a dump's notes; LSTAR is in neither, which shows in the coverage; `check --pause` reads it. A change that lasts a moment only is not seen.",
  run(context) {
    const { processors, processorsMissing } = context.facts.host;
    if (processors === undefined || processors.length === 0) {
      return context.skip(processorsMissing ?? "no channel to the processors' registers");
    }
    let looked = 0;
    for (const [cpu, processor] of processors.entries()) {
      // A processor that was never started is in real mode still.
      if ((processor.cr0 & CR0_PG) === 0n) continue;
      looked++;
      checkBits(context, cpu, processor);
      checkTables(context, cpu, processor);
      checkEntry(context, cpu, processor);
    }
    if (looked === 0) context.unseen("no processor runs the kernel");
    context.cover(looked);
  },
};

function checkBits(
  context: CheckContext,
  cpu: number,
  { cr0, cr4, efer }: ProcessorRegisters,
): void {
  if ((cr0 & CR0_WP) === 0n) reportOff(context, cpu, "CR0.WP", cr0);
  if (efer === undefined) context.unseen("EFER is not among the registers that can be had");
  else if ((efer & EFER_NXE) === 0n && hasFeature(context.kernel, 1 * 32 + 20)) {
    reportOff(context, cpu, "EFER.NXE", efer);
  }
  const pinned = pinnedBits(context.kernel);
  for (const { name, bit, feature, handler } of CR4_BITS) {
    const built = handler === undefined || Number.isFinite(context.kernel.symbol(handler));
    const wanted = (built && hasFeature(context.kernel, feature)) || ((pinned >> bit) & 1n) === 1n;
    if (wanted && ((cr4 >> bit) & 1n) === 0n) reportOff(context, cpu, `CR4.${name}`, cr4);
  }
}

/** `boot_cpu_data.x86_capability`: what the processor has and the command line left on. */
function hasFeature(kernel: Kernel, feature: number): boolean {
  const words = kernel.offset("cpuinfo_x86", "x86_capability");
  const address = kernel.requireSymbol("boot_cpu_data") + words + Math.floor(feature / 32) * 4;
  const word = kernel.space.u32(address);
  return Math.floor(word / 2 ** (feature % 32)) % 2 === 1;
}

/** Bits of CR4 that the kernel never lets go of (arch/x86/kernel/cpu/common.c, 5.3). */
function pinnedBits(kernel: Kernel): bigint {
  return kernel.space.u64(kernel.symbol("cr4_pinned_bits")) ?? 0n;
}

function checkTables(
  context: CheckContext,
  cpu: number,
  { idtBase, gdtBase }: ProcessorRegisters,
): void {
  const { kernel } = context;
  const { space } = kernel;
  const interrupts = space.folding.foldBig(idtBase);
  const table = kernel.requireSymbol("idt_table");
  if (space.physical(interrupts) !== space.physical(table)) {
    reportPlace(context, cpu, "interrupt table", interrupts, table);
  }
  const segments = space.folding.foldBig(gdtBase);
  // Processors use a read-only mapping of their own.
  const own = segmentTables(kernel).flatMap(({ address }) => {
    const page = space.physical(address);
    return page >= 0 ? [page] : [];
  });
  if (own.length === 0) context.unseen("the kernel's segment tables cannot be found");
  else if (!own.some((page) => page === space.physical(segments))) {
    reportPlace(context, cpu, "segment table", segments, kernel.symbol("gdt_page"));
  }
}

function checkEntry(context: CheckContext, cpu: number, { lstar }: ProcessorRegisters): void {
  if (lstar === undefined) {
    // No channel of a guest that runs on tells it: one thing that was not looked at, and counted so.
    context.cover(0, 1);
    return;
  }
  const { kernel } = context;
  context.cover(1);
  const entry = kernel.space.folding.foldBig(lstar);
  const expected = kernel.requireSymbol("entry_SYSCALL_64");
  if (entry !== expected) reportPlace(context, cpu, "system-call entry", entry, expected);
}

function reportOff(context: CheckContext, cpu: number, register: string, value: bigint): void {
  context.report({
    severity: "critical",
    confidence: "high",
    title: `Processor ${cpu} runs with ${register} off.`,
    subject: { cpu, register },
    evidence: { value: `0x${value.toString(16)}` },
  });
}

function reportPlace(
  context: CheckContext,
  cpu: number,
  what: string,
  seen: GuestVirtual,
  expected: GuestVirtual,
): void {
  const { kernel, facts } = context;
  context.report({
    severity: "critical",
    confidence: "high",
    title: `The ${what} of processor ${cpu} is not the kernel's.`,
    subject: { cpu, register: what },
    evidence: {
      seen: kernel.format(seen),
      place: facts.get(codeOwners).describe(seen),
      expected: facts.get(codeOwners).describe(expected),
    },
  });
}
