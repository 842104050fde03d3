import type { GuestVirtual } from "../base/address.ts";
import { codeInTransit, isReleasingCode } from "../linux/code-release.ts";
import { KernelHalves } from "../linux/kernel-halves.ts";
import { isKexecCopy, kexecPages } from "../linux/kexec.ts";
import { bootWords } from "../linux/security-settings.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { surveyKernelPages } from "./kernel-page-survey.ts";
import type { PageSurvey, Run } from "./kernel-page-survey.ts";
import { executableMemory } from "./memory-facts.ts";

const PAGE = 4096;

/** What is said of pages with each fault. */
const FAULTS: readonly [
  kind: Exclude<keyof PageSurvey, "unseen" | "executable">,
  name: string,
  says: (address: string) => string,
][] = [
  ["writable", "writable", (at) => `Kernel memory at ${at} is both writable and executable.`],
  ["ownerless", "ownerless", (at) => `Executable kernel memory at ${at} belongs to nobody.`],
  ["aliases", "alias", (at) => `Kernel text can be written through a second mapping at ${at}.`],
  ["unprotected", "constant", (at) => `Constant data of the kernel at ${at} can be written.`],
  ["reachable", "reachable", (at) => `Kernel memory at ${at} can be reached by user programs.`],
];

/** Every executable kernel page has an owner, none can be written, and text has no writable alias. */
export const kernelPages: Check = {
  id: "kernel-pages",
  proves:
    "No kernel page is writable and executable or open to programs, every executable one belongs to the kernel, a module or code that the kernel is known to have made, no writable mapping leads to kernel text, constant data cannot be written, and all processes share one kernel half.",
  reads:
    "the kernel half of the page tables; the top table of each process; modules; BPF, ftrace and kprobe code",
  attack: ["T1014", "T1547.006"],
  shares: ["module list"],
  limits:
    "Sees the tables of init_mm. Where a process has a kernel half of its own that is told, and what it maps is not looked at. A second, writable mapping of constant data or of a module's code is not told.",
  isUnsettled: isReleasingCode,
  halfDone(kernel) {
    const doing = codeInTransit(kernel);
    return ({ subject }) => (subject["kind"] === "ownerless" ? doing : undefined);
  },
  run(context) {
    const { kernel, facts } = context;
    const owners = facts.get(codeOwners);
    for (const problem of owners.problems) context.unseen(problem);
    const trampoline = realModeCode(context);
    const kexec = [...kexecPages(kernel)];
    const owned = (page: GuestVirtual): boolean =>
      owners.ownerOf(page)?.part === "text" ||
      owners.ownerOf(page)?.part === "init_text" ||
      (page >= trampoline.start && page < trampoline.start + trampoline.size) ||
      kexec.some(({ start, end }) => page >= start && page < end) ||
      isKexecCopy(kernel, page) ||
      onlyTraps(context, page);
    const found = surveyKernelPages(kernel, owned);
    for (const reason of found.unseen) context.unseen(reason);
    context.cover(found.executable);
    const isOpen = isUnprotected(context);
    if (isOpen) reportUnprotected(context, found);
    const told = isOpen ? withoutImage(context, owned, found) : found;
    for (const [fault, name, says] of FAULTS) {
      // What the kernel makes in a way that is not known has owners too.
      if (fault === "ownerless" && owners.undecoded.length > 0) continue;
      for (const run of told[fault]) reportRun(context, name, run, says);
    }
    checkProcesses(context);
  },
};

/** A page of INT3, and nothing else. */
const TRAPS = Buffer.alloc(PAGE, 0xcc);

/**
 * Room for modules that nobody has taken yet is executable from the start, and full of traps
 * (mm/execmem.c, `execmem_cache`, 6.13): it holds no code until it has an owner.
 */
function onlyTraps({ kernel }: CheckContext, page: GuestVirtual): boolean {
  if (Number.isNaN(kernel.symbol("execmem_cache"))) return false;
  const bytes = kernel.space.bytes(page, PAGE);
  return bytes !== undefined && TRAPS.equals(bytes);
}

/** `rodata=off`: what the kernel would protect at the end of boot stays as it was (mark_readonly). */
function isUnprotected({ kernel }: CheckContext): boolean {
  return kernel.space.u8(kernel.symbol("rodata_enabled")) === 0;
}

/** One finding says it: then each page of the kernel and its modules is writable and executable. */
function reportUnprotected(context: CheckContext, { writable }: PageSurvey): void {
  const { kernel } = context;
  const asked = bootWords(kernel).includes("rodata=off");
  const why = asked ? "it was started with rodata=off" : "though it was not asked to run so";
  context.report({
    severity: asked ? "high" : "critical",
    confidence: "high",
    title: `The kernel does not protect its memory: ${why}.`,
    subject: { kind: "unprotected" },
    evidence: {
      writableAndExecutable: writable.reduce((sum, { size }) => sum + size, 0),
      rodataEnabled: false,
      asked,
    },
  });
}

/** What rodata=off does not explain: executable memory outside the image and of no module. */
function withoutImage(
  { kernel: { image } }: CheckContext,
  owned: (page: GuestVirtual) => boolean,
  found: PageSurvey,
): PageSurvey {
  const outside = ({ start }: Run): boolean =>
    start < image.virtual || start >= image.virtual + image.size;
  return {
    ...found,
    writable: found.writable.filter((run) => outside(run) && !owned(run.start)),
    ownerless: found.ownerless.filter(outside),
    aliases: [],
    unprotected: [],
  };
}

/** Code for waking processors, in the first MiB (arch/x86/realmode/init.c): small, and not writable. */
function realModeCode({ kernel }: CheckContext): { start: GuestVirtual; size: number } {
  const start = kernel.space.pointer(kernel.symbol("real_mode_header"));
  const size = kernel.symbol("real_mode_blob_end") - kernel.symbol("real_mode_blob");
  const low = kernel.space.physical(start);
  const believable = low >= 0 && low < 0x10_0000 && size > 0 && size <= 0x2_0000;
  return believable ? { start, size } : { start: Number.NaN, size: 0 };
}

function reportRun(
  context: CheckContext,
  kind: string,
  { start, size, physical }: Run,
  says: (address: string) => string,
): void {
  const { kernel, facts } = context;
  const code = kernel.space.bytes(start, Math.min(size, 32));
  context.report({
    severity: "critical",
    confidence: kind === "ownerless" ? "medium" : "high",
    title: says(kernel.format(start)),
    subject: { kind, address: kernel.format(start) },
    evidence: {
      size,
      physical: `0x${physical.toString(16)}`,
      near: facts.get(codeOwners).describe(start),
      bytes: code === undefined ? null : Buffer.from(code).toString("hex"),
    },
  });
}

/** Each process has a copy of the top table's upper half, which leads to what all of them share. */
function checkProcesses(context: CheckContext): void {
  const { kernel, facts } = context;
  const halves = new KernelHalves(kernel);
  const { rows, problems } = facts.get(executableMemory);
  for (const problem of problems) context.unseen(problem);
  let looked = 0;
  for (const { process, mm } of rows) {
    const own = halves.own(mm);
    if (own !== undefined) looked++;
    for (const { index, leadsTo } of own ?? []) {
      const { pid, comm, task } = process;
      context.report({
        severity: "critical",
        confidence: "high",
        title: `Process ${pid} (${comm}) has kernel memory of its own: entry ${index} of its page tables.`,
        subject: { kind: "own half", pid, task: kernel.format(task), index },
        evidence: { leadsTo: `0x${leadsTo.toString(16)}` },
      });
    }
  }
  context.cover(looked, rows.length);
}
