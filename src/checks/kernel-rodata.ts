import { hexBytes } from "../base/hex.ts";
import type { Section } from "../linux/kernel-text/code-file.ts";
import type { TextChange, TextIntegrity } from "../linux/kernel-text/text-integrity.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { requireText } from "./kernel-text.ts";

/** Read-only sections of the image beside .rodata (include/asm-generic/vmlinux.lds.h, RO_DATA). */
const SECTIONS = [
  ".rodata",
  ".pci_fixup",
  "__ksymtab",
  "__ksymtab_gpl",
  "__ksymtab_strings",
  "__kcrctab",
  "__kcrctab_gpl",
  "__param",
  "__modver",
  "__ex_table",
  ".notes",
  ".BTF",
  ".BTF_ids",
];
const SHOWN = 32;
const MAX_REPORTS = 64;
const COMMA = 0x2c;
/** No list of switches is longer. */
const LIST = 64;

/** Constant data of the kernel are the booted file's. */
export const kernelRodata: Check = {
  id: "kernel-rodata",
  proves:
    "The kernel's constant data (operation tables, system-call tables, exported symbols, exception table) are those of the kernel file.",
  reads: ".rodata and the other read-only sections, without what is read-only only after boot",
  attack: ["T1014"],
  shares: ["kernel rodata"],
  limits:
    "Needs the kernel file. Data that boot fills in and then protects (__ro_after_init) are left to the checks of what they hold.",
  run(context) {
    const text = requireText(context);
    const after = afterInit(context);
    for (const name of SECTIONS) {
      const section = text.section(name);
      if (section === undefined) continue;
      for (const part of without(section, after)) compare(context, part);
    }
  },
};

function afterInit({ kernel }: CheckContext): Section {
  const start = kernel.requireSymbol("__start_ro_after_init");
  const end = kernel.requireSymbol("__end_ro_after_init");
  return { start, size: end - start };
}

/** A section without the stretch that is written during boot. */
function without(section: Section, hole: Section): Section[] {
  const end = section.start + section.size;
  const holeEnd = hole.start + hole.size;
  if (hole.start >= end || holeEnd <= section.start) return [section];
  return [
    { start: section.start, size: Math.max(0, hole.start - section.start) },
    { start: Math.min(end, holeEnd), size: Math.max(0, end - holeEnd) },
  ].filter(({ size }) => size > 0);
}

function compare(context: CheckContext, { start, size }: Section): void {
  const text = requireText(context);
  const found = text.dataChanges({ start, size });
  if (found.unread > 0) context.unseen(`${found.unread} bytes of constant data are not in memory`);
  context.cover(size - found.unread, size);
  const owners = context.facts.get(codeOwners);
  const changes = found.changes.filter((change) => !isSplitList(text, change));
  for (const change of changes.slice(0, MAX_REPORTS)) {
    const place = owners.describe(change.address);
    context.report({
      severity: "critical",
      confidence: "high",
      title: `Constant data of the kernel were changed at ${place}.`,
      subject: { place },
      evidence: {
        address: context.kernel.format(change.address),
        length: change.seen.length,
        expected: hexBytes(change.expected.subarray(0, SHOWN)),
        seen: hexBytes(change.seen.subarray(0, SHOWN)),
      },
    });
  }
  if (changes.length > MAX_REPORTS) {
    context.unseen(`${changes.length} places differ; ${MAX_REPORTS} are listed`);
  }
}

/**
 * On processors of the Skylake-X model the kernel takes a literal of its own apart with strsep,
 * before that is protected: "!cmt,!mbmtotal,!mbmlocal,!l3cat" (__check_quirks_intel in
 * arch/x86/kernel/cpu/resctrl/core.c, since 4.14). Nothing but commas of such a list ends so.
 */
function isSplitList(text: TextIntegrity, { address, expected, seen }: TextChange): boolean {
  const commas = expected.every((byte, at) => byte === seen[at] || (byte === COMMA && !seen[at]));
  const before = commas ? text.file.bytes(address - LIST, LIST) : undefined;
  const after = text.file.bytes(address, expected.length + LIST);
  if (before === undefined || after === undefined) return false;
  const around = Buffer.concat([before, after]).toString("latin1");
  const start = around.lastIndexOf("\0", LIST) + 1;
  const end = around.indexOf("\0", LIST);
  return end >= LIST + expected.length && /^!\w+(,!\w+)+$/.test(around.slice(start, end));
}
