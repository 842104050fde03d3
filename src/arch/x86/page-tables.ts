import type { GuestPhysical, GuestVirtual } from "../../base/address.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import type { AddressFolding } from "./address-folding.ts";

export type PagingLevels = 4 | 5;

const PRESENT = 0x1;
const WRITABLE = 0x2;
const USER = 0x4;
const PAGE_SIZE_BIT = 0x80;
const NO_EXECUTE = 0x8000_0000;
/** 1 GiB: bit 7 of a higher entry is reserved. */
const LARGEST_PAGE = 2 ** 30;
const TWO_32 = 2 ** 32;
const TWO_47 = 2 ** 47;
const TWO_48 = 2 ** 48;

/** A page-table entry: flags in `low`, and the NX bit as bit 31 of `high` (Intel SDM 3A, 4.5). */
export type PageTableEntry = {
  readonly low: number;
  readonly high: number;
  /** Where the entry itself lies. */
  readonly address: GuestPhysical;
};

/** A mapped page: where it lies, how big it is, and what the entries on the way allow. */
export type Translation = {
  readonly physical: GuestPhysical;
  readonly size: number;
  readonly writable: boolean;
  readonly executable: boolean;
  readonly user: boolean;
};

/** Physical address that an entry names, without flags and software bits (bits 12–51). */
export function entryFrame(low: number, high: number): GuestPhysical {
  return (high & 0xf_ffff) * TWO_32 + (low - (low % 4096));
}

/** Whether a table holds nothing at all; one that cannot be read counts as empty. */
export function isEmptyTable(memory: PhysicalMemory, table: GuestPhysical): boolean {
  const at = memory.offsetOf(table);
  return at < 0 || memory.u32.subarray(at / 4, at / 4 + 1024).every((word) => word === 0);
}

/** One address space's page tables: a root, and how many levels it has. */
export class PageTables {
  readonly root: GuestPhysical;
  readonly levels: PagingLevels;
  readonly #memory: PhysicalMemory;
  readonly #folding: AddressFolding;
  #table: GuestPhysical = 0;
  /** Size of the page that `physical` found last. */
  span = 0;

  constructor(
    memory: PhysicalMemory,
    folding: AddressFolding,
    root: GuestPhysical,
    levels: PagingLevels,
  ) {
    this.#memory = memory;
    this.#folding = folding;
    this.root = root;
    this.levels = levels;
  }

  /** Guest-physical address of a virtual one, or −1 where it is not mapped. Allocates nothing. */
  physical(address: GuestVirtual): GuestPhysical {
    let low48 = this.#enter(address);
    let table = this.#table;
    for (let span = 2 ** 39; low48 >= 0; span /= 512) {
      const at = this.#memory.offsetOf(table);
      if (at < 0) return -1;
      const index = Math.floor(low48 / span);
      low48 -= index * span;
      const word = at / 4 + index * 2;
      const low = this.#memory.u32[word]!;
      if ((low & PRESENT) === 0) return -1;
      table = entryFrame(low, this.#memory.u32[word + 1]!);
      this.span = span;
      if (span === 4096) return table + low48;
      if ((low & PAGE_SIZE_BIT) !== 0) {
        return span > LARGEST_PAGE ? -1 : table - (table % span) + low48;
      }
    }
    return -1;
  }

  /** The whole translation with its permissions, or undefined where nothing is mapped. */
  translate(address: GuestVirtual): Translation | undefined {
    const physical = this.physical(address);
    if (physical < 0) return undefined;
    const path = this.#path(address);
    if (path === undefined) return undefined;
    return {
      physical,
      size: path.size,
      writable: path.entries.every((entry) => (entry.low & WRITABLE) !== 0),
      user: path.entries.every((entry) => (entry.low & USER) !== 0),
      executable: path.entries.every((entry) => (entry.high & NO_EXECUTE) === 0),
    };
  }

  /** The entry that maps the page of `address`, or undefined where nothing is mapped. */
  leafEntry(address: GuestVirtual): PageTableEntry | undefined {
    return this.#path(address)?.entries.at(-1);
  }

  /** Whether an entry of the fifth level leads to a table that has the entry `below`. */
  isPopulated(index: number, below: number): boolean {
    const top = this.entry(this.root, index);
    if (top === undefined || (top.low & PRESENT) === 0) return false;
    const next = this.entry(entryFrame(top.low, top.high), below);
    return next !== undefined && (next.low & PRESENT) !== 0;
  }

  /**
   * Consumes the fifth level. Returns the 48 bits that the other four translate and leaves their
   * top table in #table; −1 where the address is not canonical or not mapped.
   */
  #enter(address: GuestVirtual): number {
    if (address !== address) return -1;
    const region = Math.floor(address / TWO_48);
    const low48 = address - region * TWO_48;
    this.#table = this.root;
    if (this.levels === 4) return address >= -TWO_47 && address < TWO_47 ? low48 : -1;
    const entry = this.entry(this.root, this.#folding.rootIndex(region));
    if (entry === undefined || (entry.low & PRESENT) === 0) return -1;
    this.#table = entryFrame(entry.low, entry.high);
    return low48;
  }

  #path(address: GuestVirtual): { entries: PageTableEntry[]; size: number } | undefined {
    let low48 = this.#enter(address);
    if (low48 < 0) return undefined;
    let table = this.#table;
    const region = Math.floor(address / TWO_48);
    const top =
      this.levels === 5 ? this.entry(this.root, this.#folding.rootIndex(region)) : undefined;
    const entries = top === undefined ? [] : [top];
    for (let span = 2 ** 39; span >= 4096; span /= 512) {
      const entry = this.entry(table, Math.floor(low48 / span));
      if (entry === undefined || (entry.low & PRESENT) === 0) return undefined;
      entries.push(entry);
      if (span === 4096 || (entry.low & PAGE_SIZE_BIT) !== 0) return { entries, size: span };
      low48 %= span;
      table = entryFrame(entry.low, entry.high);
    }
    return undefined;
  }

  /** An entry of a table page, or undefined where the table is not in RAM. */
  entry(table: GuestPhysical, index: number): PageTableEntry | undefined {
    const at = this.#memory.offsetOf(table);
    if (at < 0) return undefined;
    const word = at / 4 + index * 2;
    return {
      low: this.#memory.u32[word],
      high: this.#memory.u32[word + 1],
      address: table + index * 8,
    };
  }
}
