import type { GuestVirtual } from "../base/address.ts";
import { hexBytes } from "../base/hex.ts";
import type { ModuleSpace } from "../linux/code-owner.ts";
import { builtWithout } from "../linux/features.ts";
import { ftraceRecords } from "../linux/ftrace-records.ts";
import type { Section } from "../linux/kernel-text/code-file.ts";
import { CodeForms } from "../linux/kernel-text/code-forms.ts";
import type { FormFault } from "../linux/kernel-text/code-forms.ts";
import { FunctionMap, lastAtOrBelow } from "../linux/kernel-text/function-map.ts";
import { kernelMemoryCode, moduleMemoryCode } from "../linux/kernel-text/memory-code.ts";
import type { Kernel } from "../linux/kernel.ts";
import type { ModulePart } from "../linux/module-memory.ts";
import { moduleSections } from "../linux/module-sections.ts";
import type { ModuleSection } from "../linux/module-sections.ts";
import type { Module } from "../linux/module.ts";
import type { Check, CheckContext } from "./check.ts";
import { codeOwners } from "./code-owners.ts";
import { describeTarget, disassembly } from "./code-report.ts";
import { tellOwnerProblems } from "./function-target.ts";
import { legalTargets } from "./legal-targets.ts";
import { moduleSources } from "./module-text.ts";

/** A function's site for ftrace stands at its start, or behind `endbr64` and a few bytes of padding. */
const ENTRY_REACH = 16;
/** No module's text is longer. */
const MAX_TEXT = 64 * 2 ** 20;
const MAX_REPORTS = 64;

/** Code of which there is no file holds no form that neither a compiler nor the kernel makes. */
export const textForms: Check = {
  id: "text-forms",
  proves:
    "Where there is no file to compare code with: every site that the kernel patches holds one of its legal forms, and every direct branch leads to a function's start, within its own function, or to code that the kernel made for that place.",
  reads:
    "kernel and module text that kernel-text and module-text have no file for; ftrace records, jump labels, static calls, kprobes",
  attack: ["T1014"],
  shares: ["kernel text", "module text"],
  limits:
    "Weaker than a comparison: an instruction exchanged for another of the same form, or a branch to the start of another function of the kernel, is not seen. Where both have files there is nothing left to look at.",
  run(context) {
    const { kernel, facts } = context;
    tellOwnerProblems(context);
    const missing = [...facts.get(moduleSources)].filter(([, source]) => "missing" in source);
    if (facts.host.text !== undefined && missing.length === 0) return context.cover(0);
    const looked = regions.get(kernel) ?? new Regions(kernel);
    regions.set(kernel, looked);
    const ready = looked.prepare(facts.get(legalTargets).targets.generation);
    if (!ready) return context.skip("the records of ftrace cannot be read");
    if (facts.host.text === undefined) {
      lookAt(context, looked, looked.kernelRegion());
      kernel.forgetText();
    }
    looked.retain(new Set(missing.map(([{ module }]) => module)));
    for (const [module] of missing) {
      const region = looked.moduleRegion(module, spaceOf(context, module));
      if (typeof region !== "string") lookAt(context, looked, region);
      else {
        context.cover(0, 1);
        context.unseen(`${module.name}: ${region}`);
      }
    }
    return undefined;
  },
};

type Region = { readonly key: string; readonly forms: CodeForms; readonly functions: FunctionMap };

const regions = new WeakMap<Kernel, Regions>();

/** What stays from sweep to sweep: tables of sites, and which pages were found clean. */
class Regions {
  readonly kernelFunctions: FunctionMap;
  readonly #kernel: Kernel;
  #records: Float64Array = new Float64Array();
  #generation: string | undefined;
  #kernelRegion: Region | undefined;
  readonly #modules = new Map<GuestVirtual, Region>();

  constructor(kernel: Kernel) {
    const start = kernel.requireSymbol("_stext");
    const size = kernel.requireSymbol("_etext") - start;
    this.#kernel = kernel;
    this.kernelFunctions = new FunctionMap(kernel.symbols, { start, size });
  }

  /** Reads ftrace's records anew when modules came or went; false where they cannot be read. */
  prepare(generation: string): boolean {
    if (generation === this.#generation) return true;
    const untraced = builtWithout(this.#kernel, "ftrace") !== undefined;
    const records = untraced ? new Float64Array() : ftraceRecords(this.#kernel);
    if (records === undefined) return false;
    this.#records = records;
    this.#generation = generation;
    return true;
  }

  /** Whether ftrace has a site at the beginning of the function. */
  traced(start: GuestVirtual): boolean {
    return this.#records[lastAtOrBelow(this.#records, start + ENTRY_REACH - 1)] >= start;
  }

  /** Forgets modules that are gone, or have a file by now. */
  retain(modules: ReadonlySet<GuestVirtual>): void {
    for (const module of this.#modules.keys()) {
      if (!modules.has(module)) this.#modules.delete(module);
    }
  }

  kernelRegion(): Region {
    this.#kernelRegion ??= {
      key: "kernel",
      functions: this.kernelFunctions,
      forms: new CodeForms(
        this.#kernel,
        kernelMemoryCode(this.#kernel),
        this.#recordsIn(this.kernelFunctions),
      ),
    };
    return this.#kernelRegion;
  }

  /** A reason where the module's functions cannot be told apart. */
  moduleRegion(
    { module, parts, buildId }: Module,
    space: ModuleSpace | undefined,
  ): Region | string {
    const text = parts.find(({ kind }) => kind === "text");
    if (text === undefined) return "it has no text";
    if (text.size > MAX_TEXT) return `its text of ${text.size} bytes is longer than any module's`;
    if (space?.symbols === undefined) return "its symbols cannot be read";
    const key = [text.base, text.size, buildId].join();
    const known = this.#modules.get(module);
    if (known?.key === key) return known;
    const sections = moduleSections(this.#kernel, module);
    if (sections === undefined) return "where its sections lie cannot be told";
    const functions = new FunctionMap(
      space.symbols,
      { start: text.base, size: text.size },
      alternativeCode(sections, text),
    );
    const code = moduleMemoryCode(this.#kernel, module, space.symbols);
    const forms = new CodeForms(this.#kernel, code, this.#recordsIn(functions));
    const region = { key, forms, functions };
    this.#modules.set(module, region);
    return region;
  }

  #recordsIn({ section: { start, size } }: FunctionMap): Float64Array {
    const first = lastAtOrBelow(this.#records, start - 1) + 1;
    return this.#records.subarray(first, lastAtOrBelow(this.#records, start + size - 1) + 1);
  }
}

/**
 * Code of alternatives, which may still name what was freed after initialisation, and of fixups
 * (until 5.16), which jump back to where an access failed.
 */
function alternativeCode(sections: readonly ModuleSection[], text: ModulePart): Section[] {
  const end = text.base + text.size;
  const inText = sections
    .filter(({ address }) => address >= text.base && address < end)
    .toSorted((a, b) => a.address - b.address);
  return inText.flatMap(({ name, address }, index) => {
    const next = inText[index + 1]?.address ?? end;
    return /^\.(altinstr_|fixup)/.test(name) ? [{ start: address, size: next - address }] : [];
  });
}

function spaceOf({ facts }: CheckContext, { module }: Module): ModuleSpace | undefined {
  return facts.get(codeOwners).modules.find((each) => each.module === module);
}

function lookAt(context: CheckContext, looked: Regions, { forms, functions }: Region): void {
  const { facts } = context;
  const { targets, problems } = facts.get(legalTargets);
  for (const problem of problems) context.unseen(problem);
  const probes = new Set(targets.probes.at.keys());
  const scene = {
    owners: facts.get(codeOwners),
    kernel: looked.kernelFunctions,
    own: functions,
    traced: (start: GuestVirtual) => looked.traced(start),
    probes,
    generation: [targets.generation, ...probes].join(),
  };
  const { faults, pages, unread } = forms.look(scene, targets);
  context.cover(pages - unread, pages);
  if (unread > 0) context.unseen(`${unread} pages of text are not in memory`);
  for (const fault of faults.slice(0, MAX_REPORTS)) report(context, fault);
  if (faults.length > MAX_REPORTS) {
    context.unseen(`${faults.length} places are wrong; ${MAX_REPORTS} are listed`);
  }
}

function report(context: CheckContext, { address, length, why, target, sure }: FormFault): void {
  const { kernel, facts } = context;
  const owners = facts.get(codeOwners);
  const place = owners.describe(address);
  if (target === target && owners.mayHaveOwner(target)) {
    return context.unseen(`whose the code is that ${place} leads to is not known`);
  }
  const seen = kernel.space.bytes(address, length);
  context.report({
    severity: "critical",
    confidence: sure ? "high" : "medium",
    title: `Code at ${place} ${why}.`,
    subject: { function: place },
    evidence: {
      address: kernel.format(address),
      seen: seen === undefined ? null : hexBytes(seen),
      leadsTo: target === target ? describeTarget(context, target) : null,
      code: disassembly(context, address),
    },
  });
}
