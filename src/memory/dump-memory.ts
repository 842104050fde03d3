import { PAGE_SIZE } from "../base/address.ts";
import type { GuestPhysical } from "../base/address.ts";
import type { DumpNotes } from "../formats/cpu-notes.ts";
import type { PageReader } from "./page-reader.ts";
import { PageSlots } from "./page-slots.ts";
import type { PhysicalMemory, PhysicalRange } from "./physical-memory.ts";

/** 8,192 slots are 32 MiB of address space; only slots that are used take host memory. */
const SLOTS = 8192;
/** Up to here `bytes` copies out of the slots, which structures on one page have filled already. */
const SMALL = 16 * PAGE_SIZE;
/** `bytes` refuses more at once, so that no length read from a guest decides an allocation. */
const MAX_BYTES = 2 ** 30;
/** Damaged pages that are remembered, so that they are not decoded again and again. */
const MAX_REMEMBERED = 65_536;

export type DumpFacts = {
  readonly path: string;
  /** `elf-core`, `kdump`, `lime`, `avml` or `raw`. */
  readonly kind: string;
  readonly notes: DumpNotes;
  /** The file says itself that its writer ran out of space, or it was salvaged with parts missing. */
  readonly incomplete: boolean;
  /** Pages of RAM that the file says were left out when it was made (makedumpfile -d). */
  readonly excludedPages: number;
};

/** A guest's memory as a file holds it. It never changes, and offers no way to change it. */
export class DumpMemory implements PhysicalMemory {
  readonly path: string;
  readonly kind: string;
  readonly notes: DumpNotes;
  readonly incomplete: boolean;
  readonly excludedPages: number;
  readonly ranges: readonly PhysicalRange[];
  readonly live = false;
  readonly stable = false;
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  readonly #reader: PageReader;
  readonly #slots: PageSlots;
  readonly #damaged = new Set<GuestPhysical>();

  constructor(facts: DumpFacts, reader: PageReader) {
    this.path = facts.path;
    this.kind = facts.kind;
    this.notes = facts.notes;
    this.incomplete = facts.incomplete;
    this.excludedPages = facts.excludedPages;
    this.ranges = reader.ranges;
    this.#reader = reader;
    this.#slots = new PageSlots((page, target) => this.#fill(page, target), SLOTS);
    this.u8 = this.#slots.u8;
    this.u32 = this.#slots.u32;
  }

  /** Distinct pages met so far that the file should hold but that cannot be read or decoded. */
  get damagedPages(): number {
    return this.#damaged.size;
  }

  offsetOf(physical: GuestPhysical): number {
    return this.#slots.offsetOf(physical);
  }

  /** A copy, which stays as it is. Undefined too for more than 1 GiB. */
  bytes(physical: GuestPhysical, length: number): Uint8Array | undefined {
    if (!(length >= 0) || length > MAX_BYTES || !this.#holds(physical, length)) return undefined;
    const target = new Uint8Array(length);
    const got = length <= SMALL ? this.#copy(physical, target) : this.readInto(physical, target);
    return got === length ? target : undefined;
  }

  /**
   * Fills `target` without an allocation and past the page cache, for scans. Returns how many
   * bytes it got before the first page that is missing or damaged.
   */
  readInto(physical: GuestPhysical, target: Uint8Array): number {
    if (!this.#holds(physical, target.length)) return 0;
    const got = this.#reader.read(physical, target);
    if (got < target.length) this.#noteDamage(physical + got);
    return got;
  }

  /** The ranges without what the file shows to be zero: holes of a sparse file, zero pages. */
  populated(): readonly PhysicalRange[] {
    return this.#reader.populated?.() ?? this.ranges;
  }

  /** Nothing to forget: a dump does not change. */
  refresh(): void {}

  [Symbol.dispose](): void {
    this.#slots.clear();
    this.#reader[Symbol.dispose]();
  }

  #copy(physical: GuestPhysical, target: Uint8Array): number {
    let done = 0;
    while (done < target.length) {
      const at = this.offsetOf(physical + done);
      if (at < 0) break;
      const length = Math.min(target.length - done, PAGE_SIZE - (at % PAGE_SIZE));
      target.set(this.u8.subarray(at, at + length), done);
      done += length;
    }
    return done;
  }

  #fill(page: GuestPhysical, target: Uint8Array): boolean {
    if (this.#damaged.has(page) || !this.#holds(page, PAGE_SIZE)) return false;
    if (this.#reader.read(page, target) === PAGE_SIZE) return true;
    this.#noteDamage(page);
    return false;
  }

  #noteDamage(physical: GuestPhysical): void {
    if (this.#damaged.size < MAX_REMEMBERED) {
      this.#damaged.add(Math.floor(physical / PAGE_SIZE) * PAGE_SIZE);
    }
  }

  #holds(physical: GuestPhysical, length: number): boolean {
    const ranges = this.ranges;
    let low = 0;
    let high = ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (ranges[middle].start > physical) high = middle;
      else low = middle + 1;
    }
    const range = ranges[low - 1];
    return range !== undefined && physical + length <= range.start + range.size;
  }
}
