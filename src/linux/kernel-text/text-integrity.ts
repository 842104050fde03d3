import { decodeInstruction } from "../../arch/x86/instruction.ts";
import { PAGE_SIZE } from "../../base/address.ts";
import type { GuestVirtual } from "../../base/address.ts";
import type { Kernel } from "../kernel.ts";
import { alternatives } from "./alternatives.ts";
import type { Alternative } from "./alternatives.ts";
import type { CodeFile, Section } from "./code-file.ts";
import { lastAtOrBelow } from "./function-map.ts";
import { LegalForms } from "./legal-forms.ts";
import type { LegalTargets } from "./legal-forms.ts";
import { codePages, pageView } from "./page-view.ts";
import { patchSites } from "./patch-sites.ts";
import { removeProbes } from "./planted-probes.ts";
import type { Probes } from "./planted-probes.ts";
import { rightCode } from "./right-code.ts";
import type { RightCode } from "./right-code.ts";
import { SiteTable } from "./site-table.ts";
import type { PatchSite } from "./site-table.ts";
import { TextMatcher } from "./text-match.ts";
import type { SeenCode } from "./text-match.ts";

/** Longest thing that is patched: an alternative's length is one byte. */
const REACH = 256;
/** Unexplained bytes this near to each other are one change. */
const JOIN = 16;
/** How often a page is explained that changes meanwhile. */
const MAX_TRIES = 4;

/** Of an x86 instruction, in bytes. */
const LONGEST = 15;
/** Kinds of sites that are one branch, however long it is. */
const OF_INSTRUCTION: ReadonlySet<PatchSite["kind"]> = new Set([
  "return",
  "retpoline",
  "static-call",
]);

/** Bytes that neither the file nor any legal patch explains. */
export type TextChange = {
  readonly address: GuestVirtual;
  readonly expected: Uint8Array;
  readonly seen: Uint8Array;
};

/** A page as it was when every byte of it was explained. */
type Verified = {
  readonly bytes: Buffer;
  /** What lived then, where the explanation leans on that; undefined where it holds for ever. */
  readonly generation: string | undefined;
};

/**
 * Explains code byte by byte from the file that it was loaded from. Pages that were explained once
 * are remembered as they were then, so that a second look only compares them; one that calls code
 * outside the image is explained anew whenever such code comes or goes.
 */
export class TextIntegrity {
  readonly #kernel: Kernel;
  /** What it compares with. */
  readonly file: CodeFile;
  readonly #sites: SiteTable;
  readonly #alternatives: ReadonlyMap<GuestVirtual, Alternative[]>;
  readonly #alternativeAddresses: Float64Array;
  readonly #verified = new Map<GuestVirtual, Verified>();

  constructor(kernel: Kernel, file: CodeFile) {
    this.#kernel = kernel;
    this.file = file;
    this.#sites = new SiteTable(patchSites(kernel, file));
    this.#alternatives = alternatives(kernel, file);
    this.#alternativeAddresses = Float64Array.from(this.#alternatives.keys()).toSorted();
  }

  /**
   * What in a section is unexplained. `unread` is told of each page that is not in memory.
   * `targets` says where patched calls may lead at this moment.
   */
  changes(
    section: Section,
    targets: LegalTargets,
    unread: (page: GuestVirtual) => void,
  ): TextChange[] {
    const forms = new LegalForms(this.#kernel, targets);
    const matcher = new TextMatcher(this.file, this.#sites, forms);
    const changes: TextChange[] = [];
    for (const { start, view } of codePages(this.#kernel, section)) {
      if (view === undefined) unread(start);
      else if (!this.#isVerified(start, view, targets.generation)) {
        changes.push(...this.#settled(start, view, matcher, forms, targets));
      }
    }
    return changes;
  }

  /** What is unexplained in a page that does not change while it is looked at. */
  #settled(
    from: GuestVirtual,
    view: Uint8Array,
    matcher: TextMatcher,
    forms: LegalForms,
    targets: LegalTargets,
  ): TextChange[] {
    let current: Uint8Array | undefined = view;
    let found: TextChange[] = [];
    for (let tries = 0; tries < MAX_TRIES && current !== undefined; tries++) {
      // A copy: the guest may write while it is explained.
      const seen: Buffer = Buffer.from(current);
      forms.leansOnLive = false;
      forms.unfinished = false;
      found = this.#explain(from, seen, matcher, forms, targets.probes);
      const generation = forms.leansOnLive ? targets.generation : undefined;
      if (found.length === 0) {
        if (!forms.unfinished) this.#verified.set(from, { bytes: seen, generation });
        return found;
      }
      current = pageView(this.#kernel, from, seen.length);
      if (current !== undefined && seen.equals(current)) return found;
    }
    return found;
  }

  #isVerified(from: GuestVirtual, view: Uint8Array, generation: string): boolean {
    const known = this.#verified.get(from);
    if (known === undefined || !known.bytes.equals(view)) return false;
    return known.generation === undefined || known.generation === generation;
  }

  /** What has to stand where a change was found, or why that cannot be told. */
  right({ address, expected }: TextChange, targets: LegalTargets): RightCode {
    const page = Math.floor(address / PAGE_SIZE) * PAGE_SIZE;
    const view = pageView(this.#kernel, page, PAGE_SIZE);
    if (view === undefined) return { reason: "its page is not in memory" };
    const forms = new LegalForms(this.#kernel, targets);
    const matcher = new TextMatcher(this.file, this.#sites, forms);
    const around = this.#around(page, Buffer.from(view));
    const know = {
      kernel: this.#kernel,
      file: this.file,
      sites: this.#sites,
      siteAt: (at: GuestVirtual) => this.#coveringSite(at),
      isAlternative: (at: GuestVirtual) => this.#alternativesAt(at) !== undefined,
      explainedTo: (at: GuestVirtual) => this.#explainedTo(at, around, matcher, forms),
    };
    return rightCode(know, address, address + expected.length);
  }

  /** A section of the file, where it lies in this guest. */
  section(name: string): Section | undefined {
    return this.file.sections.get(name);
  }

  /** Where constant data differ from the file's. No patch is legal there. */
  dataChanges(section: Section): { changes: TextChange[]; unread: number } {
    const changes: TextChange[] = [];
    let unread = 0;
    for (const { start: from, length, view } of codePages(this.#kernel, section)) {
      const expected = this.file.bytes(from, length);
      if (view === undefined || expected === undefined) unread += length;
      else if (Buffer.compare(view, expected) !== 0) {
        changes.push(...differences(from, expected, Buffer.from(view)));
      }
    }
    return { changes, unread };
  }

  #explain(
    page: GuestVirtual,
    seen: Buffer,
    matcher: TextMatcher,
    forms: LegalForms,
    probes: Probes,
  ): TextChange[] {
    const expected = this.file.bytes(page, seen.length);
    if (expected === undefined || seen.equals(expected)) return [];
    const around = this.#around(page, seen);
    // Probes come and go: what is explained by one is not remembered.
    if (removeProbes(around.code, around.base, probes)) forms.unfinished = true;
    const plain = around.code.subarray(REACH, REACH + seen.length);
    const unexplained: number[] = [];
    for (let at = 0; at < seen.length; at++) {
      if (plain[at] === expected[at]) continue;
      const end = this.#explainedTo(page + at, around, matcher, forms);
      if (end > page + at) {
        at = end - page - 1;
        continue;
      }
      // A site is shown whole: its opcode may be the same and only its target changed.
      const whole = this.#coveringSite(page + at);
      const from = whole === undefined ? at : Math.max(whole.start - page, 0);
      const to = whole === undefined ? at + 1 : Math.min(whole.end - page, seen.length);
      for (let offset = from; offset < to; offset++) unexplained.push(offset);
      at = to - 1;
    }
    return changesAt(page, unexplained, expected, seen);
  }

  /** The page with what lies before and behind it, since instructions cross pages. */
  #around(page: GuestVirtual, seen: Buffer): SeenCode {
    const code = new Uint8Array(REACH + seen.length + REACH);
    this.#kernel.space.copy(page - REACH, code.subarray(0, REACH));
    code.set(seen, REACH);
    this.#kernel.space.copy(page + seen.length, code.subarray(REACH + seen.length));
    return { code, base: page - REACH };
  }

  /** The end of the legal patch that covers `address`, or `address` where there is none. */
  #explainedTo(
    address: GuestVirtual,
    seen: SeenCode,
    matcher: TextMatcher,
    forms: LegalForms,
  ): GuestVirtual {
    const group = this.#alternativesAt(address);
    if (group !== undefined && matcher.matchesAlternative(seen, group)) {
      return group[0].address + Math.max(...group.map(({ length }) => length));
    }
    const covering = this.#coveringSite(address);
    if (covering === undefined) return address;
    const { site, start, end } = covering;
    const original = this.file.bytes(start, end - start);
    const at = start - seen.base;
    if (original === undefined || at < 0 || end > seen.base + seen.code.length) return address;
    return forms.allows(site, seen.code, at, start, original) ? end : address;
  }

  #coveringSite(
    address: GuestVirtual,
  ): { site: PatchSite; start: GuestVirtual; end: GuestVirtual } | undefined {
    const site = this.#sites.before(address);
    if (site === undefined) return undefined;
    const end = site.address + this.#lengthOf(site);
    return address < end ? { site, start: site.address, end } : undefined;
  }

  /** Branches to thunks are five bytes, or six with a prefix (clang's returns too) or a condition. */
  #lengthOf(site: PatchSite): number {
    if (!OF_INSTRUCTION.has(site.kind)) return site.length;
    // The end of a section may be nearer than the longest instruction.
    const original =
      this.file.bytes(site.address, LONGEST) ?? this.file.bytes(site.address, site.length + 1);
    const length = original === undefined ? 0 : (decodeInstruction(original, 0)?.length ?? 0);
    // A `cs` prefix may stand for room behind the call: `call; nop` (5.15 to 6.1).
    return Math.max(site.length, length);
  }

  #alternativesAt(address: GuestVirtual): readonly Alternative[] | undefined {
    const addresses = this.#alternativeAddresses;
    for (let index = lastAtOrBelow(addresses, address); index >= 0; index--) {
      const start = addresses[index];
      if (address - start >= REACH) return undefined;
      const group = this.#alternatives.get(start) ?? [];
      if (group.some(({ length }) => address < start + length)) return group;
    }
    return undefined;
  }
}

function differences(start: GuestVirtual, expected: Uint8Array, seen: Buffer): TextChange[] {
  const offsets: number[] = [];
  for (let at = 0; at < seen.length; at++) if (seen[at] !== expected[at]) offsets.push(at);
  return changesAt(start, offsets, expected, seen);
}

function changesAt(
  start: GuestVirtual,
  offsets: readonly number[],
  expected: Uint8Array,
  seen: Uint8Array,
): TextChange[] {
  return joined(offsets).map(({ from, to }) => ({
    address: start + from,
    expected: expected.slice(from, to),
    seen: Uint8Array.from(seen.subarray(from, to)),
  }));
}

/** Runs of offsets, where near ones belong together. */
function joined(offsets: readonly number[]): { from: number; to: number }[] {
  const runs: { from: number; to: number }[] = [];
  for (const offset of offsets) {
    const last = runs.at(-1);
    if (last !== undefined && offset - last.to < JOIN) last.to = offset + 1;
    else runs.push({ from: offset, to: offset + 1 });
  }
  return runs;
}
