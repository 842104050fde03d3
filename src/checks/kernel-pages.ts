import { visitKernelPages } from "../arch/x86/mapped-ranges.ts";
import type { GuestPhysical, GuestVirtual } from "../base/address.ts";
import { isReleasingCode } from "../linux/code-release.ts";
import { isKexecCopy, kexecPages } from "../linux/kexec.ts";
import { bootWords } from "../linux/security-settings.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";

const PAGE = 4096;
/** Executable pages that are looked at one by one; a kernel with its modules has some 10,000. */
const MAX_PAGES = 1 << 20;

type Run = { start: GuestVirtual; size: number; physical: GuestPhysical };
type Owned = (page: GuestVirtual) => boolean;

/** Every executable kernel page has an owner, none can be written, and text has no writable alias. */
export const kernelPages: Check = {
  id: "kernel-pages",
  proves:
    "No kernel page is writable and executable, every executable one belongs to the kernel, a module or code that the kernel is known to have made, and no writable mapping leads to kernel text.",
  reads: "the kernel half of the page tables; modules; BPF, ftrace and kprobe code",
  attack: ["T1014", "T1547.006"],
  shares: ["module list"],
  limits:
    "Sees the tables of init_mm: code that is only mapped in one process's own kernel half is not among them.",
  isUnsettled: isReleasingCode,
  run(context) {
    const { kernel, facts } = context;
    const owners = facts.get(codeOwners);
    for (const problem of owners.problems) context.unseen(problem);
    const trampoline = realModeCode(context);
    const kexec = [...kexecPages(kernel)];
    const owned: Owned = (page) =>
      owners.ownerOf(page)?.part === "text" ||
      owners.ownerOf(page)?.part === "init_text" ||
      (page >= trampoline.start && page < trampoline.start + trampoline.size) ||
      kexec.some(({ start, end }) => page >= start && page < end) ||
      isKexecCopy(kernel, page) ||
      onlyTraps(context, page);
    const found = survey(context, owned);
    if (!found.whole) context.unseen("the page tables are larger than any kernel's");
    context.cover(found.executable);
    const isOpen = isUnprotected(context);
    if (isOpen) reportUnprotected(context, found);
    const told = isOpen ? withoutImage(context, owned, found) : found;
    for (const run of told.writable) {
      reportRun(
        context,
        "writable",
        run,
        `Kernel memory at ${kernel.format(run.start)} is both writable and executable.`,
      );
    }
    for (const run of told.ownerless) {
      reportRun(
        context,
        "ownerless",
        run,
        `Executable kernel memory at ${kernel.format(run.start)} belongs to nobody.`,
      );
    }
    for (const run of told.aliases) {
      reportRun(
        context,
        "alias",
        run,
        `Kernel text can be written through a second mapping at ${kernel.format(run.start)}.`,
      );
    }
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

type Survey = {
  readonly whole: boolean;
  readonly executable: number;
  readonly writable: readonly Run[];
  readonly ownerless: readonly Run[];
  readonly aliases: readonly Run[];
};

function survey({ kernel }: CheckContext, owned: Owned): Survey {
  const { memory, space, image } = kernel;
  const textEnd = image.physical + (kernel.requireSymbol("_etext") - image.virtual);
  const found = { writable: [] as Run[], ownerless: [] as Run[], aliases: [] as Run[] };
  let executable = 0;
  const visit = (
    start: GuestVirtual,
    size: number,
    physical: GuestPhysical,
    mayWrite: boolean,
    mayExecute: boolean,
  ): void => {
    const overlapsText = physical < textEnd && physical + size > image.physical;
    // Text that is writable where it belongs is found as writable and executable.
    const isItself = start >= image.virtual && start < image.virtual + image.size;
    if (mayWrite && overlapsText && !isItself) add(found.aliases, start, size, physical);
    if (!mayExecute) return;
    if (mayWrite) add(found.writable, start, size, physical);
    for (let at = 0; at < size && executable < MAX_PAGES; at += PAGE) {
      executable++;
      if (!owned(start + at)) add(found.ownerless, start + at, PAGE, physical + at);
    }
  };
  const { folding, tables } = space;
  const whole = visitKernelPages(memory, folding, tables, kernel.budget(), visit);
  return { ...found, whole: whole && executable < MAX_PAGES, executable };
}

/** `rodata=off`: what the kernel would protect at the end of boot stays as it was (mark_readonly). */
function isUnprotected({ kernel }: CheckContext): boolean {
  return kernel.space.u8(kernel.symbol("rodata_enabled")) === 0;
}

/** One finding says it: then each page of the kernel and its modules is writable and executable. */
function reportUnprotected(context: CheckContext, { writable }: Survey): void {
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
function withoutImage({ kernel: { image } }: CheckContext, owned: Owned, found: Survey): Survey {
  const outside = ({ start }: Run): boolean =>
    start < image.virtual || start >= image.virtual + image.size;
  return {
    ...found,
    writable: found.writable.filter((run) => outside(run) && !owned(run.start)),
    ownerless: found.ownerless.filter(outside),
    aliases: [],
  };
}

/** Neighbours become one run. */
function add(runs: Run[], start: GuestVirtual, size: number, physical: GuestPhysical): void {
  const last = runs.at(-1);
  if (last !== undefined && last.start + last.size === start) last.size += size;
  else runs.push({ start, size, physical });
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
  kind: "writable" | "ownerless" | "alias",
  { start, size, physical }: Run,
  title: string,
): void {
  const { kernel, facts } = context;
  const code = kernel.space.bytes(start, Math.min(size, 32));
  context.report({
    severity: "critical",
    confidence: kind === "ownerless" ? "medium" : "high",
    title,
    subject: { kind, address: kernel.format(start) },
    evidence: {
      size,
      physical: `0x${physical.toString(16)}`,
      near: facts.get(codeOwners).describe(start),
      bytes: code === undefined ? null : Buffer.from(code).toString("hex"),
    },
  });
}
