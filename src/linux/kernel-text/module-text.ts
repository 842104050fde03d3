import { PAGE_SIZE } from "../../base/address.ts";
import type { GuestVirtual } from "../../base/address.ts";
import type { Kernel } from "../kernel.ts";
import type { ModulePart } from "../module-memory.ts";
import type { Section } from "./code-file.ts";
import type { LegalTargets } from "./legal-forms.ts";
import type { ModuleCode, PlacedSection } from "./module-code.ts";
import type { RightCode } from "./right-code.ts";
import { TextIntegrity } from "./text-integrity.ts";
import type { TextChange } from "./text-integrity.ts";

/**
 * Constant data that the loader itself sorts or moves (kernel/module, kernel/trace/ftrace.c), and
 * alternatives, of which those for one place get the length of the longest (apply_alternatives, 6.10).
 */
const SORTED: ReadonlySet<string> = new Set([
  "__mcount_loc",
  "__ex_table",
  "__tracepoints_ptrs",
  ".altinstructions",
]);

/** What stands between sections: memory as it was allocated, zeros or traps. */
const FILLINGS: ReadonlySet<number> = new Set([0x00, 0xcc]);

/** No module leaves more between its sections than the alignment of a page or a large page. */
const MAX_GAP = 4 * 2 ** 20;

/** A look at a module: what is unexplained, and how much could not be read. */
export type ModuleLook = {
  readonly text: readonly TextChange[];
  readonly rodata: readonly TextChange[];
  /** Pieces of pages that were looked at, and those that were not in memory. */
  readonly pages: number;
  readonly unread: number;
};

/** Explains one loaded module byte by byte from its own file. */
export class ModuleText {
  readonly #kernel: Kernel;
  readonly #integrity: TextIntegrity;
  readonly #text: readonly PlacedSection[];
  readonly #rodata: readonly PlacedSection[];
  readonly #gaps: readonly Section[];

  /** `parts` are the module's own: every byte of its text is looked at, sections and gaps. */
  constructor(kernel: Kernel, code: ModuleCode, parts: readonly ModulePart[]) {
    this.#kernel = kernel;
    this.#integrity = new TextIntegrity(kernel, code);
    const inside = (kind: ModulePart["kind"]): PlacedSection[] =>
      code.placed.filter((section) =>
        parts.some((part) => part.kind === kind && holds(part, section)),
      );
    this.#text = inside("text").filter(({ executable }) => executable);
    this.#rodata = inside("rodata").filter(
      ({ executable, name }) => !executable && !SORTED.has(name),
    );
    this.#gaps = parts
      .filter(({ kind }) => kind === "text")
      .flatMap((part) => [...gaps(part, this.#text)]);
  }

  look(targets: LegalTargets): ModuleLook {
    let unread = 0;
    let pages = 0;
    const text: TextChange[] = [];
    const rodata: TextChange[] = [];
    for (const { start, end } of this.#text) {
      pages += pagesOf(start, end);
      text.push(...this.#integrity.changes({ start, size: end - start }, targets, () => unread++));
    }
    for (const { start, end } of this.#rodata) {
      pages += pagesOf(start, end);
      const found = this.#integrity.dataChanges({ start, size: end - start });
      rodata.push(...found.changes);
      unread += Math.ceil(found.unread / PAGE_SIZE);
    }
    for (const gap of this.#gaps) {
      pages += pagesOf(gap.start, gap.start + gap.size);
      unread += this.#filled(gap, text);
    }
    return { text, rodata, pages, unread };
  }

  /** What has to stand where a change of its code was found, or why that cannot be told. */
  right(change: TextChange, targets: LegalTargets): RightCode {
    const { address } = change;
    const covered = this.#text.some(({ start, end }) => address >= start && address < end);
    return covered ? this.#integrity.right(change, targets) : { bytes: change.expected };
  }

  /** Adds what stands in a gap to `found`, page by page; returns how many were not looked at. */
  #filled({ start, size }: Section, found: TextChange[]): number {
    const limit = Math.min(start + size, start + MAX_GAP);
    let unread = limit < start + size ? pagesOf(limit, start + size) : 0;
    for (let from = start; from < limit;) {
      const to = Math.min((Math.floor(from / PAGE_SIZE) + 1) * PAGE_SIZE, limit);
      const seen = this.#kernel.space.bytes(from, to - from);
      const first = seen?.findIndex((byte) => !FILLINGS.has(byte)) ?? -1;
      const last = seen?.findLastIndex((byte) => !FILLINGS.has(byte)) ?? -1;
      if (seen === undefined) unread++;
      else if (first >= 0) {
        const expected = new Uint8Array(last + 1 - first);
        found.push({ address: from + first, expected, seen: seen.slice(first, last + 1) });
      }
      from = to;
    }
    return unread;
  }
}

function holds({ base, size }: ModulePart, { start, end }: PlacedSection): boolean {
  return start >= base && end <= base + size;
}

/** What of a part no section covers. */
function* gaps({ base, size }: ModulePart, sections: readonly PlacedSection[]): Generator<Section> {
  let at: GuestVirtual = base;
  for (const { start, end } of sections.toSorted((a, b) => a.start - b.start)) {
    if (start > at) yield { start: at, size: start - at };
    at = Math.max(at, end);
  }
  if (at < base + size) yield { start: at, size: base + size - at };
}

function pagesOf(start: GuestVirtual, end: GuestVirtual): number {
  return Math.ceil(end / PAGE_SIZE) - Math.floor(start / PAGE_SIZE);
}
