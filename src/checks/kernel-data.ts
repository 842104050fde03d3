import type { GuestVirtual } from "../base/address.ts";
import type { AddressRange } from "../linux/address-ranges.ts";
import { alignedToWords, wordsLeadingTo } from "../linux/data-words.ts";
import { kernelSections } from "../linux/kernel-sections.ts";
import type { Kernel } from "../linux/kernel.ts";
import { ModuleSymbols } from "../linux/module-symbols.ts";
import { Modules } from "../linux/module.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { bootedPointers } from "./booted-pointers.ts";
import { foreignModules, tellOwnerProblems } from "./function-target.ts";

/** Sections of the image that hold variables. Its constant data are in here for those without a file. */
const SECTIONS: ReadonlySet<string> = new Set(["data", "bss", "rodata", "ro_after_init"]);
/** ENDBR64, which a hook may leave out, has four bytes. */
const STARTS: ReadonlySet<number> = new Set([0, 4]);
/**
 * Not pointers that anybody set: the stack of the idle task; what static calls lead to, which is
 * judged by the checks of those who register there (tracepoints, ftrace, KVM); and what a module was
 * initialised with, in memory that was given back since.
 */
const PASSED_OVER = /^(init_stack|init_thread_union|__SCK__.*|static_calls_table|__this_module)$/;
/** The padding before a function (CONFIG_FUNCTION_PADDING), which is none. */
const PADDING = /^__(pfx|cfi)_/;
const MAX_REPORTS = 64;

/** No variable of the kernel or of the distribution's modules leads into a foreign module's code. */
export const kernelData: Check = {
  id: "kernel-data",
  proves:
    "No word in the static data of the kernel and of the distribution's modules holds the address of a function of a module that is not the distribution's; where the kernel file is known, no pointer to a function that it has leads into the middle of one or to executable memory of nobody.",
  reads:
    ".data, .bss and constant data of the image and of each listed module; the kernel file's .data",
  attack: ["T1014"],
  shares: ["kernel data", "kernel rodata", "module text"],
  limits:
    "Data that the kernel allocated, and each processor's own, are not searched. A pointer that was sent to the start of another function of the kernel is not told.",
  run(context) {
    tellOwnerProblems(context);
    searchForForeign(context);
    for (const { slot, target } of bootedPointers(context)) {
      report(context, slot, target, "leads where the kernel has no function");
    }
  },
};

function searchForForeign(context: CheckContext): void {
  const { kernel, facts } = context;
  const owners = facts.get(codeOwners);
  const foreign = facts.get(foreignModules);
  const code = foreignCode(context);
  let reported = 0;
  let unread = 0;
  for (const place of placesOf(context)) {
    context.cover(1);
    for (const range of code) {
      const words = wordsLeadingTo(kernel, alignedToWords(place), range, () => unread++);
      for (const { slot, value } of words) {
        const space = owners.moduleAt(value);
        const owner = owners.ownerOf(value);
        if (space === undefined || !foreign.has(space.module)) continue;
        if (owner?.part !== "text" || !STARTS.has(owner.offset)) continue;
        if (PADDING.test(owner.symbol ?? "")) continue;
        if (PASSED_OVER.test(owners.ownerOf(slot)?.symbol ?? "")) continue;
        if (reported++ < MAX_REPORTS) {
          report(context, slot, value, "leads into a module that is not the distribution's");
        }
      }
    }
  }
  if (unread > 0) context.unseen(`${unread} pages of static data are not in memory`);
  if (reported > MAX_REPORTS) {
    context.unseen(`${reported} words lead to foreign modules; ${MAX_REPORTS} are listed`);
  }
}

/** Code of the modules that are not the distribution's. */
function foreignCode({ kernel, facts }: CheckContext): AddressRange[] {
  const { memory } = new Modules(kernel);
  return [...facts.get(foreignModules)].flatMap((module) =>
    memory
      .parts(module)
      .filter(({ kind }) => kind === "text")
      .map(({ base, size }) => ({ start: base, end: base + size })),
  );
}

/** Static data of the image, and of the modules that are the distribution's. */
function placesOf({ kernel, facts }: CheckContext): AddressRange[] {
  const owners = facts.get(codeOwners);
  const foreign = facts.get(foreignModules);
  const symbols = new ModuleSymbols(kernel);
  const image = kernelSections(kernel).filter(({ name }) => SECTIONS.has(name));
  const modules = owners.modules.filter(({ module }) => !foreign.has(module));
  return [
    ...image.flatMap((section) => without(section, givenBack(kernel))),
    ...modules.flatMap(({ module }) =>
      // A type's letter does not tell where a symbol lies: forged ones must not lead elsewhere.
      symbols.variables(module).filter(({ start }) => owners.moduleAt(start)?.module === module),
    ),
  ];
}

/** What of .bss is for encrypted guests only, and given back in others (arch/x86/mm/mem_encrypt_amd.c). */
function givenBack(kernel: Kernel): AddressRange {
  return {
    start: kernel.symbol("__start_bss_decrypted_unused"),
    end: kernel.symbol("__end_bss_decrypted"),
  };
}

function without({ start, end }: AddressRange, hole: AddressRange): AddressRange[] {
  if (!(hole.start < end && hole.end > start)) return [{ start, end }];
  return [
    { start, end: Math.max(start, hole.start) },
    { start: Math.min(end, hole.end), end },
  ].filter((range) => range.end > range.start);
}

function report(
  context: CheckContext,
  slot: GuestVirtual,
  target: GuestVirtual,
  why: string,
): void {
  const { kernel, facts } = context;
  const owners = facts.get(codeOwners);
  const place = owners.describe(slot);
  context.report({
    severity: "high",
    confidence: "medium",
    title: `A pointer in the kernel's data at ${place} ${why}: ${owners.describe(target)}.`,
    subject: { place },
    evidence: {
      slot: kernel.format(slot),
      seen: kernel.format(target),
      target: owners.describe(target),
      owner: owners.ownerOf(target)?.name ?? null,
    },
  });
}
