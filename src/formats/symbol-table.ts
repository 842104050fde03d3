import { sampleHash } from "./byte-hash.ts";

/** A symbol and where an address lies in it. */
export type SymbolAt = {
  readonly name: string;
  /** As nm prints it: `T` text, `t` local text, `D`, `d`, `B`, `b`, `R`, `r`, `V`, `W`, `A` … */
  readonly type: string;
  /** Of the symbol. */
  readonly address: number;
  /** From the symbol to the address that was asked for. */
  readonly offset: number;
  /** Distance to the next higher symbol; 0 for the last one, whose end nobody knows. */
  readonly size: number;
};

export type SymbolEntry = Pick<SymbolAt, "name" | "type" | "address">;

/**
 * What a symbol table is made of. Entry i's bytes in `names` begin at `nameOffsets[i]` and end at
 * `nameOffsets[i + 1]`: the type's letter, then the name (as kallsyms has them).
 */
export type SymbolTableParts = {
  /** Signed, as in base/address.ts; ascending. Per-CPU offsets (before 6.15) come last, from 0 on. */
  readonly addresses: Float64Array;
  readonly names: Uint8Array;
  readonly nameOffsets: Uint32Array;
};

/** How far behind the last symbol an address still counts as being in it. */
const LAST_SYMBOL_SPAN = 4096;
const MAX_ALIASES = 64;

/**
 * Symbols by name and by address. Names stay bytes in one array until somebody asks for one;
 * lookups by name go through a hash table that is built at the first (about 3 ms for 120,000).
 */
export class SymbolTable implements Iterable<SymbolEntry> {
  readonly addresses: Float64Array;
  readonly #names: Buffer;
  readonly #nameOffsets: Uint32Array;
  #chains: { head: Int32Array; next: Int32Array } | undefined;

  constructor(parts: SymbolTableParts) {
    this.addresses = parts.addresses;
    const { buffer, byteOffset, length } = parts.names;
    this.#names = Buffer.from(buffer, byteOffset, length);
    this.#nameOffsets = parts.nameOffsets;
  }

  get size(): number {
    return this.addresses.length;
  }

  get parts(): SymbolTableParts {
    return {
      addresses: this.addresses,
      names: this.#names,
      nameOffsets: this.#nameOffsets,
    };
  }

  /** Name of entry `index` (0 … size − 1). */
  name(index: number): string {
    return this.#names.toString(
      "latin1",
      this.#nameOffsets[index] + 1,
      this.#nameOffsets[index + 1],
    );
  }

  type(index: number): string {
    return String.fromCharCode(this.#names[this.#nameOffsets[index]]);
  }

  entry(index: number): SymbolEntry {
    return { name: this.name(index), type: this.type(index), address: this.addresses[index] };
  }

  /**
   * Address of the symbol of that name; of several the lowest; NaN where there is none. What ThinLTO
   * made of a static name, `name.llvm.HASH`, answers to it where nothing else does.
   */
  address(name: string): number {
    const index = this.indexOf(name);
    return index < 0 ? Number.NaN : this.addresses[index];
  }

  /** Lowest entry with that name, or −1. */
  indexOf(name: string): number {
    let promoted = -1;
    for (const index of this.#matches(name)) {
      if (this.#nameLength(index) === name.length) return index;
      if (promoted < 0) promoted = index;
    }
    return promoted;
  }

  /** Addresses of all symbols of that name, those of ThinLTO too, ascending. */
  all(name: string): number[] {
    return Array.from(this.#matches(name), (index) => this.addresses[index]);
  }

  /**
   * The symbol that a kernel address lies in. Where several share an address it is the first,
   * as in the kernel: scripts/kallsyms.c puts the best name first. Undefined below the first symbol, more than a page behind the last
   * one, and for addresses ≥ 0 (per-CPU offsets can't be told from user addresses).
   */
  at(address: number): SymbolAt | undefined {
    if (!(address < 0)) return undefined;
    const last = this.#below(address);
    if (last < 0) return undefined;
    const start = this.addresses[last];
    const next = this.addresses[last + 1];
    const size = next < 0 ? next - start : 0;
    if (size === 0 && address - start >= LAST_SYMBOL_SPAN) return undefined;
    return { ...this.entry(this.#firstAlias(last)), offset: address - start, size };
  }

  /** Entries [first, end) with start ≤ address < end, as indices. */
  range(start: number, end: number): { first: number; end: number } {
    const first = this.#lowerBound(start);
    return { first, end: Math.max(first, this.#lowerBound(end)) };
  }

  /** Indices of all symbols whose name begins so; a walk over all names (about 1 ms). */
  *startingWith(prefix: string): Generator<number> {
    const wanted = Buffer.from(prefix, "latin1");
    for (let index = 0; index < this.size; index++) {
      const from = this.#nameOffsets[index] + 1;
      if (from + wanted.length > this.#nameOffsets[index + 1]) continue;
      if (this.#equals(from, wanted)) yield index;
    }
  }

  *[Symbol.iterator](): Generator<SymbolEntry> {
    for (let index = 0; index < this.size; index++) yield this.entry(index);
  }

  *#matches(name: string): Generator<number> {
    const wanted = Buffer.from(name, "latin1");
    const { head, next } = (this.#chains ??= this.#buildChains());
    const slot = sampleHash(wanted, 0, plainEnd(wanted, 0, wanted.length)) & (head.length - 1);
    for (let entry = head[slot]; entry !== 0; entry = next[entry - 1]) {
      const from = this.#nameOffsets[entry - 1] + 1;
      const to = this.#nameOffsets[entry];
      const fits =
        from + wanted.length === to || from + wanted.length === plainEnd(this.#names, from, to);
      if (fits && this.#equals(from, wanted)) yield entry - 1;
    }
  }

  #nameLength(index: number): number {
    return this.#nameOffsets[index + 1] - this.#nameOffsets[index] - 1;
  }

  #equals(from: number, wanted: Buffer): boolean {
    for (let i = 0; i < wanted.length; i++) if (this.#names[from + i] !== wanted[i]) return false;
    return true;
  }

  #buildChains(): { head: Int32Array; next: Int32Array } {
    const names = this.#names;
    const nameOffsets = this.#nameOffsets;
    const count = this.size;
    let slots = 256;
    while (slots < count) slots *= 2;
    const head = new Int32Array(slots);
    const next = new Int32Array(count);
    for (let index = count - 1; index >= 0; index--) {
      const from = nameOffsets[index] + 1;
      const hash = sampleHash(names, from, plainEnd(names, from, nameOffsets[index + 1]));
      const slot = hash & (slots - 1);
      next[index] = head[slot];
      head[slot] = index + 1;
    }
    return { head, next };
  }

  /** First index whose address is ≥ `address`. */
  #lowerBound(address: number): number {
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.addresses[middle] < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Last index whose address is ≤ `address`, or −1. */
  #below(address: number): number {
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.addresses[middle] <= address) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** The first of the entries that share `last`'s address. */
  #firstAlias(last: number): number {
    const end = Math.max(0, last - MAX_ALIASES);
    let first = last;
    while (first > end && this.addresses[first - 1] === this.addresses[last]) first--;
    return first;
  }
}

const PROMOTED = Buffer.from(".llvm.");

/** Where a name ends without `.llvm.HASH`, which ThinLTO adds to static names that it shares. */
function plainEnd(names: Buffer, from: number, to: number): number {
  let at = to;
  while (at > from && names[at - 1] >= 0x30 && names[at - 1] <= 0x39) at--;
  const start = at - PROMOTED.length;
  if (at === to || start <= from || names[at - 1] !== 0x2e) return to;
  return names.compare(PROMOTED, 0, PROMOTED.length, start, at) === 0 ? start : to;
}
