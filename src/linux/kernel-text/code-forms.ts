import { branchTarget, decodeInstruction } from "../../arch/x86/instruction.ts";
import type { Instruction } from "../../arch/x86/instruction.ts";
import { PAGE_SIZE } from "../../base/address.ts";
import type { GuestVirtual } from "../../base/address.ts";
import type { Kernel } from "../kernel.ts";
import { branchFault } from "./branch-rules.ts";
import type { CodeScene } from "./branch-rules.ts";
import { CALLER_SIZE, isSkippedTest } from "./cfi-forms.ts";
import type { CodeFile } from "./code-file.ts";
import type { CodeFunction } from "./function-map.ts";
import { hookForm } from "./hook-forms.ts";
import { LegalForms } from "./legal-forms.ts";
import type { LegalTargets } from "./legal-forms.ts";
import { codePages } from "./page-view.ts";
import { patchSites } from "./patch-sites.ts";
import { removeProbes } from "./planted-probes.ts";
import { SiteTable } from "./site-table.ts";
import type { PatchSite } from "./site-table.ts";

/** Code that nothing legal makes. */
export type FormFault = {
  readonly address: GuestVirtual;
  readonly length: number;
  /** Goes behind the place's name: `leads to memory of nobody`. */
  readonly why: string;
  /** Where it leads; NaN where that is not it. */
  readonly target: GuestVirtual;
  /** No compiler that is not known yet may make it either. */
  readonly sure: boolean;
};

export type FormLook = {
  readonly faults: readonly FormFault[];
  readonly pages: number;
  readonly unread: number;
};

/** Sites whose branch is judged by what belongs there, not by the rules for branches. */
const OWN_RULES: ReadonlySet<PatchSite["kind"]> = new Set(["mcount", "static-call", "ftrace-call"]);
/** Sites where a breakpoint stands while they change. */
const OWN_BREAKPOINTS: ReadonlySet<PatchSite["kind"]> = new Set([...OWN_RULES, "jump-label"]);
/** No function of the kernel is longer; of one that seems so the rest is left. */
const MAX_FUNCTION = 1 << 18;
const MCOUNT_LENGTH = 5;
const INT3 = 0xcc;
const NOP = 0x90;

type Verified = {
  readonly bytes: Buffer;
  /** What lived then, where that mattered; undefined where the page is clean for ever. */
  readonly generation: string | undefined;
};

/** What was found of one function. */
type Verdict = {
  readonly faults: readonly FormFault[];
  readonly leansOnLive: boolean;
  /** It holds for this moment only: code is just being patched, or a probe stands in it. */
  readonly passing: boolean;
};

/**
 * Looks at code of which no file is to be had: what stands at the sites that the kernel patches, and
 * where every direct branch leads. Weaker than a comparison: an instruction that was exchanged for
 * another, or a branch to the start of another function, shows nothing.
 */
export class CodeForms {
  readonly #kernel: Kernel;
  readonly #sites: SiteTable;
  readonly #verified = new Map<GuestVirtual, Verified>();

  /** `code` has the tables of sites; `records` are the addresses of ftrace's. */
  constructor(kernel: Kernel, code: CodeFile, records: Float64Array) {
    this.#kernel = kernel;
    this.#sites = new SiteTable(sitesOf(kernel, code, records));
  }

  look(scene: CodeScene, targets: LegalTargets): FormLook {
    const faults = new Map<GuestVirtual, FormFault>();
    let unread = 0;
    let pages = 0;
    const changed: { page: GuestVirtual; seen: Buffer }[] = [];
    for (const { start, view } of codePages(this.#kernel, scene.own.section)) {
      pages++;
      if (view === undefined) unread++;
      else if (!this.#isVerified(start, view, scene)) {
        changed.push({ page: start, seen: Buffer.from(view) });
      }
    }
    const forms = new LegalForms(this.#kernel, targets);
    const verdicts = new Map<GuestVirtual, Verdict>();
    for (const { page, seen } of changed) {
      let clean = true;
      let leans = false;
      for (const each of scene.own.overlapping(page, page + PAGE_SIZE)) {
        const verdict = verdicts.get(each.start) ?? this.#function(each, scene, forms, targets);
        verdicts.set(each.start, verdict);
        for (const fault of verdict.faults) faults.set(fault.address, fault);
        clean &&= verdict.faults.length === 0 && !verdict.passing;
        leans ||= verdict.leansOnLive;
      }
      const generation = leans ? scene.generation : undefined;
      if (clean) this.#verified.set(page, { bytes: seen, generation });
    }
    return { faults: [...faults.values()], pages, unread };
  }

  #isVerified(page: GuestVirtual, view: Uint8Array, { generation }: CodeScene): boolean {
    const known = this.#verified.get(page);
    if (known === undefined || !known.bytes.equals(view)) return false;
    return known.generation === undefined || known.generation === generation;
  }

  #function(
    each: CodeFunction,
    scene: CodeScene,
    forms: LegalForms,
    { probes }: LegalTargets,
  ): Verdict {
    const length = Math.min(each.end - each.start, MAX_FUNCTION);
    const seen = this.#kernel.space.bytes(each.start, length);
    if (seen === undefined) return { faults: [], leansOnLive: true, passing: false };
    const code = Uint8Array.from(seen);
    const probed = removeProbes(code, each.start, probes);
    forms.leansOnLive = false;
    forms.unfinished = false;
    const faults = [
      ...this.#siteFaults(each, code, forms),
      ...this.#flowFaults(each, code, scene, forms),
    ];
    return { faults, leansOnLive: forms.leansOnLive, passing: probed || forms.unfinished };
  }

  *#siteFaults(
    { start, end }: CodeFunction,
    code: Uint8Array,
    forms: LegalForms,
  ): Generator<FormFault> {
    for (const site of this.#sites.within(start, end)) {
      const at = site.address - start;
      const length = siteLength(site, code, at);
      if (at + length > code.length) continue;
      if (forms.allows(site, code, at, site.address, code.subarray(at, at + length))) {
        // What is just being patched decodes to nothing.
        if (OWN_BREAKPOINTS.has(site.kind) && code[at] === INT3) code.fill(NOP, at, at + length);
        continue;
      }
      const why = `holds none of the forms of its ${site.kind} site`;
      const branch = decodeInstruction(code, at);
      const target =
        branch === undefined ? Number.NaN : branchTarget(code, at, site.address, branch);
      yield { address: site.address, length, why, target, sure: true };
    }
  }

  *#flowFaults(
    each: CodeFunction,
    code: Uint8Array,
    scene: CodeScene,
    forms: LegalForms,
  ): Generator<FormFault> {
    const { start } = each;
    const traced = scene.traced(start);
    if (traced && code[0] === INT3 && code[1] !== INT3) {
      const why = "begins with a breakpoint that is no probe's";
      yield { address: start, length: 1, why, target: Number.NaN, sure: true };
    }
    for (let at = 0; at < code.length;) {
      if (code[at] === INT3 || code[at] === NOP) {
        at++;
        continue;
      }
      if (isSkippedTest(code, at)) {
        at += CALLER_SIZE;
        continue;
      }
      const address = start + at;
      const instruction = decodeInstruction(code, at);
      if (instruction === undefined) {
        // Assembly may hold data or 32-bit code; what a compiler made decodes to its end.
        const cut = code.length - at < 16;
        const why = "is no instruction";
        if (traced && !cut) yield { address, length: 1, why, target: Number.NaN, sure: false };
        return;
      }
      const fault = this.#instructionFault(each, code, at, instruction, scene, forms);
      if (fault !== undefined) yield fault;
      at += instruction.length + (isEmulationPrefix(code, at) ? EMULATION_PREFIX.length - 2 : 0);
    }
  }

  #instructionFault(
    from: CodeFunction,
    code: Uint8Array,
    at: number,
    instruction: Instruction,
    scene: CodeScene,
    forms: LegalForms,
  ): FormFault | undefined {
    const address = from.start + at;
    const { length, opcode, map } = instruction;
    if (instruction.relativeSize === 0) {
      const hook = hookForm(this.#kernel.space, code, at, address, instruction);
      if (hook === undefined || !scene.traced(from.start)) return undefined;
      return { address, ...hook, sure: true };
    }
    const kind = this.#sites.get(address)?.kind;
    if (kind !== undefined && OWN_RULES.has(kind)) return undefined;
    const target = branchTarget(code, at, address, instruction);
    if (target >= from.start && target < from.end) return undefined;
    const call = map === "one" && opcode === 0xe8;
    const why = branchFault(scene, { from, address, target, call });
    // Where code of the kernel or the module itself is reached, assembly not known yet may do so.
    const sure = scene.own.at(target) === undefined;
    if (sure && scene.kernel.at(target) === undefined) forms.leansOnLive = true;
    return why === undefined ? undefined : { address, length, why, target, sure };
  }
}

/** What memory's own tables name, and the sites of ftrace's records. */
function* sitesOf(kernel: Kernel, code: CodeFile, records: Float64Array): Generator<PatchSite> {
  yield* patchSites(kernel, code);
  for (const address of records) {
    yield { kind: "mcount", address, length: MCOUNT_LENGTH, detail: Number.NaN };
  }
}

/** A conditional static call has one byte more before its distance. */
function siteLength(site: PatchSite, code: Uint8Array, at: number): number {
  const conditional = code[at] === 0x0f && (code[at + 1] & 0xf0) === 0x80;
  return site.kind === "static-call" && conditional ? site.length + 1 : site.length;
}

/** XEN_EMULATE_PREFIX (arch/x86/include/asm/emulate_prefix.h): `ud2` and the letters "xen". */
const EMULATION_PREFIX = [0x0f, 0x0b, 0x78, 0x65, 0x6e];

function isEmulationPrefix(code: Uint8Array, at: number): boolean {
  return EMULATION_PREFIX.every((byte, index) => code[at + index] === byte);
}
