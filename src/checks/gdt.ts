import type { GuestVirtual } from "../base/address.ts";
import { accessOf, segmentTables, systemBase } from "../linux/gdt.ts";
import type { SegmentTable } from "../linux/gdt.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";

/** Entries that never change (arch/x86/kernel/cpu/common.c, gdt_page), the accessed bit left out. */
const CONSTANT: ReadonlyMap<number, bigint> = new Map([
  [0, 0n],
  [1, 0x00cf_9a00_0000_ffffn],
  [2, 0x00af_9a00_0000_ffffn],
  [3, 0x00cf_9200_0000_ffffn],
  [4, 0x00cf_fa00_0000_ffffn],
  [5, 0x00cf_f200_0000_ffffn],
  [6, 0x00af_fa00_0000_ffffn],
  [7, 0n],
]);
const ACCESSED = 1n << 40n;
/** GDT_ENTRY_TSS, GDT_ENTRY_LDT (arch/x86/include/asm/segment.h): two entries each. */
const TSS = 8;
const LDT = 10;
/** Thread-local segments 12 to 14, and the processor's number as a segment's limit. */
const USER_DATA: ReadonlySet<number> = new Set([12, 13, 14, 15]);
const SYSTEM_LDT = 0x82;
/** Present, privilege 0, a task-state segment that is free or in use. */
const TSS_TYPES: ReadonlySet<number> = new Set([0x89, 0x8b]);
/** CPU_ENTRY_AREA_PGD (arch/x86/include/asm/pgtable_64_types.h): the fourth-last 512 GiB. */
const ENTRY_AREA = { start: -(2 ** 41), end: -(2 ** 41) + 2 ** 39 };
/** Far more than a processor's entry area is, stacks and all; the next one's may lie anywhere. */
const AREA_REACH = 2 ** 21;

/** Each processor's segments, task-state segment and entry stacks are as Linux sets them up. */
export const gdt: Check = {
  id: "gdt",
  proves:
    "Each processor's segment table holds Linux's own segments and nothing else: no call gates, no further code; and its task-state segment is the kernel's, with entry stacks in the processor's own entry area.",
  reads: "gdt_page and cpu_tss_rw of each processor",
  attack: ["T1014"],
  limits:
    "Which table a processor has really loaded is for control-registers. Local descriptor tables of processes are not read.",
  run(context) {
    const tables = segmentTables(context.kernel);
    if (tables.length === 0) context.unseen("no processor was found, and every machine has some");
    for (const table of tables) checkTable(context, table);
    context.cover(tables.filter(({ entries }) => entries !== undefined).length, tables.length);
  },
};

function checkTable(context: CheckContext, table: SegmentTable): void {
  const { cpu, entries, beyond } = table;
  if (entries === undefined) {
    context.unseen(`the segment table of processor ${cpu} cannot be read`);
    return;
  }
  // A processor that was never started has the table, but no task-state segment in it yet.
  const started = entries[TSS] !== 0n || entries[TSS + 1] !== 0n;
  for (const [index, entry] of entries.entries()) {
    if (!isLegal(index, entry, entries)) reportEntry(context, cpu, index, entry);
  }
  if (beyond) reportEntry(context, cpu, entries.length, undefined);
  if (started) checkTss(context, table, entries);
}

function isLegal(index: number, entry: bigint, entries: readonly bigint[]): boolean {
  const constant = CONSTANT.get(index);
  if (constant !== undefined) return (entry & ~ACCESSED) === constant;
  const access = accessOf(entry);
  if (index === TSS) return entry === 0n || TSS_TYPES.has(access);
  if (index === LDT) return (access & 0x80) === 0 || access === SYSTEM_LDT;
  // The upper half of a base, and nothing else.
  if (index === TSS + 1) return entry >> 32n === 0n;
  if (index === LDT + 1) return (accessOf(entries[LDT]) & 0x80) === 0 || entry >> 32n === 0n;
  if (!USER_DATA.has(index)) return entry === 0n;
  // Of user mode (privilege 3), neither a gate nor a task-state segment.
  return (access & 0x80) === 0 || (access & 0x70) === 0x70;
}

function checkTss(context: CheckContext, table: SegmentTable, entries: readonly bigint[]): void {
  const { kernel } = context;
  const { cpu, tss, stacks } = table;
  const base = kernel.space.folding.foldBig(systemBase(entries[TSS], entries[TSS + 1]));
  const inArea = base >= ENTRY_AREA.start && base < ENTRY_AREA.end;
  if (!inArea || kernel.space.physical(base) !== kernel.space.physical(tss)) {
    reportPlace(context, cpu, "task-state segment", base);
    return;
  }
  for (const { name, top } of stacks) {
    if (top === 0 && name !== "sp0") continue;
    const fits = name === "sp0" ? top === base : top > base && top < base + AREA_REACH;
    if (!fits) reportPlace(context, cpu, `entry stack ${name}`, top);
  }
}

function reportEntry(
  context: CheckContext,
  cpu: number,
  index: number,
  entry: bigint | undefined,
): void {
  const gate = entry !== undefined && (accessOf(entry) & 0x1f) === 0x0c;
  const what = gate ? "is a call gate" : "is none of Linux's segments";
  context.report({
    severity: "critical",
    confidence: "high",
    title: `Entry ${index} of processor ${cpu}'s segment table ${what}.`,
    subject: { cpu, entry: index },
    evidence: { seen: entry === undefined ? null : `0x${entry.toString(16).padStart(16, "0")}` },
  });
}

function reportPlace(context: CheckContext, cpu: number, what: string, seen: GuestVirtual): void {
  const { kernel, facts } = context;
  context.report({
    severity: "critical",
    confidence: "high",
    title: `The ${what} of processor ${cpu} is not where the kernel puts it.`,
    subject: { cpu, what },
    evidence: { seen: kernel.format(seen), place: facts.get(codeOwners).describe(seen) },
  });
}
