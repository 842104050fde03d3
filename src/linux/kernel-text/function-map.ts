import type { GuestVirtual } from "../../base/address.ts";
import type { SymbolTable } from "../../formats/symbol-table.ts";
import type { Section } from "./code-file.ts";

/** Code symbols as nm prints them; a weak one may be a function too. */
const CODE = /[tTwW]/;

/** Labels of the linker script and of assembly: code of no function may follow, or padding. */
const LABEL = /_text_(start|end)$|^\./;

/** A function, up to the next one's start: what stands between them is padding. */
export type CodeFunction = { readonly start: GuestVirtual; readonly end: GuestVirtual };

/** The functions of a stretch of code, by its symbols. */
export class FunctionMap {
  readonly section: Section;
  readonly #symbols: SymbolTable;
  readonly #starts: Float64Array;
  readonly #nameless: ReadonlySet<GuestVirtual>;

  /** `nameless` is code of no function, such as what alternatives are made of. */
  constructor(symbols: SymbolTable, section: Section, nameless: readonly Section[] = []) {
    this.section = section;
    this.#symbols = symbols;
    const { first, end } = symbols.range(section.start, section.start + section.size);
    const starts = new Set<number>();
    const labels = new Set<number>();
    for (let index = first; index < end; index++) {
      if (!CODE.test(symbols.type(index))) continue;
      starts.add(symbols.addresses[index]);
      if (LABEL.test(symbols.name(index))) labels.add(symbols.addresses[index]);
    }
    const loose = nameless.map((each) => each.start).filter((at) => !starts.has(at));
    this.#nameless = new Set([...labels, ...loose]);
    const ends = nameless.map((each) => each.start + each.size);
    for (const at of [...this.#nameless, ...ends]) starts.add(at);
    this.#starts = Float64Array.from(starts).toSorted();
  }

  get size(): number {
    return this.#starts.length;
  }

  has(address: GuestVirtual): boolean {
    return this.#starts[lastAtOrBelow(this.#starts, address)] === address;
  }

  /** The function at an address, undefined where none begins at or before it. */
  at(address: GuestVirtual): CodeFunction | undefined {
    const { start, size } = this.section;
    if (!(address >= start && address < start + size)) return undefined;
    return this.#function(lastAtOrBelow(this.#starts, address));
  }

  /** Those that have bytes within [from, to). */
  *overlapping(from: GuestVirtual, to: GuestVirtual): Generator<CodeFunction> {
    for (let index = Math.max(0, lastAtOrBelow(this.#starts, from)); ; index++) {
      const each = this.#function(index);
      if (each === undefined || each.start >= to) return;
      if (!this.#nameless.has(each.start)) yield each;
    }
  }

  /** Its name without what the compiler adds for parts that it split off: `.cold`, `.isra.0`, … */
  baseName(start: GuestVirtual): string {
    return (this.#symbols.at(start)?.name ?? "").replace(
      /\.(cold|part|isra|constprop|llvm)\b.*$/,
      "",
    );
  }

  isCold(start: GuestVirtual): boolean {
    return /\.cold\b/.test(this.#symbols.at(start)?.name ?? "");
  }

  #function(index: number): CodeFunction | undefined {
    const start = this.#starts[index];
    if (start === undefined) return undefined;
    const end = this.section.start + this.section.size;
    return { start, end: this.#starts[index + 1] ?? end };
  }
}

/** Index of the last of ascending values that is not above `value`, or −1. */
export function lastAtOrBelow(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
