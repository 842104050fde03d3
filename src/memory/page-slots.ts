import { PAGE_SHIFT, PAGE_SIZE } from "../base/address.ts";
import type { GuestPhysical } from "../base/address.ts";

/** Reads one page into `target`; false where it cannot be read. */
export type FillPage = (page: GuestPhysical, target: Uint8Array) => boolean;

/** A tag that no frame number equals, not even a nonsensical one. */
const EMPTY = Number.NaN;

/**
 * A cache of copied pages for sources that cannot be mapped. Two-way set associative, so that
 * a structure and the page that it points to do not evict each other in turn.
 */
export class PageSlots {
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  readonly #fill: FillPage;
  /** Frame number in each slot; slots 2n and 2n + 1 belong to set n. */
  readonly #frames: Float64Array;
  /** Which slot of each set was filled last; the other one is filled next. */
  readonly #filled: Uint8Array;
  readonly #mask: number;

  /** `slots` is a power of two; 4,096 slots are 16 MiB. */
  constructor(fill: FillPage, slots = 4096) {
    const buffer = new ArrayBuffer(slots * PAGE_SIZE);
    this.u8 = new Uint8Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.#fill = fill;
    this.#frames = new Float64Array(slots).fill(EMPTY);
    this.#filled = new Uint8Array(slots / 2);
    this.#mask = slots / 2 - 1;
  }

  /** Offset of the byte at `physical`, valid to the end of its page; −1 where it cannot be read. */
  offsetOf(physical: GuestPhysical): number {
    // Rounds down, so that no negative address shares a frame with the first page.
    const frame = Math.floor(physical / PAGE_SIZE);
    const slot = (frame & this.#mask) << 1;
    if (this.#frames[slot] === frame) return (slot << PAGE_SHIFT) + (physical & (PAGE_SIZE - 1));
    if (this.#frames[slot + 1] === frame) {
      return ((slot + 1) << PAGE_SHIFT) + (physical & (PAGE_SIZE - 1));
    }
    return this.#miss(slot >> 1, frame, physical);
  }

  clear(): void {
    this.#frames.fill(EMPTY);
  }

  #miss(set: number, frame: number, physical: GuestPhysical): number {
    if (!(frame >= 0)) return -1;
    const way = 1 - this.#filled[set];
    const slot = set * 2 + way;
    const at = slot << PAGE_SHIFT;
    this.#frames[slot] = EMPTY;
    if (!this.#fill(frame * PAGE_SIZE, this.u8.subarray(at, at + PAGE_SIZE))) return -1;
    this.#frames[slot] = frame;
    this.#filled[set] = way;
    return at + (physical & (PAGE_SIZE - 1));
  }
}
