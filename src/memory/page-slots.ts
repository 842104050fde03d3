import { PAGE_SHIFT, PAGE_SIZE } from "../base/address.ts";
import type { GuestPhysical } from "../base/address.ts";

/** Reads one page into `target`; false where it cannot be read. */
export type FillPage = (page: GuestPhysical, target: Uint8Array) => boolean;

const EMPTY = -1;

/**
 * A cache of copied pages for sources that cannot be mapped. Two-way set associative, so that
 * a structure and the page that it points to do not evict each other in turn.
 */
export class PageSlots {
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  readonly #fill: FillPage;
  readonly #pages: Float64Array;
  readonly #recent: Uint8Array;
  readonly #mask: number;

  /** `slots` is a power of two; 4,096 slots are 16 MiB. */
  constructor(fill: FillPage, slots = 4096) {
    const buffer = new ArrayBuffer(slots * PAGE_SIZE);
    this.u8 = new Uint8Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.#fill = fill;
    this.#pages = new Float64Array(slots).fill(EMPTY);
    this.#recent = new Uint8Array(slots / 2);
    this.#mask = slots / 2 - 1;
  }

  /** Offset of the byte at `physical`, valid to the end of its page; −1 where it cannot be read. */
  offsetOf(physical: GuestPhysical): number {
    const within = physical % PAGE_SIZE;
    const page = physical - within;
    const set = (page / PAGE_SIZE) & this.#mask;
    const first = set * 2;
    if (this.#pages[first] === page) return this.#hit(set, 0, within);
    if (this.#pages[first + 1] === page) return this.#hit(set, 1, within);
    return this.#miss(set, page, within);
  }

  clear(): void {
    this.#pages.fill(EMPTY);
  }

  #hit(set: number, way: 0 | 1, within: number): number {
    this.#recent[set] = way;
    return ((set * 2 + way) << PAGE_SHIFT) + within;
  }

  #miss(set: number, page: GuestPhysical, within: number): number {
    if (!(page >= 0)) return -1;
    const way = this.#recent[set] === 0 ? 1 : 0;
    const slot = set * 2 + way;
    const at = slot << PAGE_SHIFT;
    this.#pages[slot] = EMPTY;
    if (!this.#fill(page, this.u8.subarray(at, at + PAGE_SIZE))) return -1;
    this.#pages[slot] = page;
    return this.#hit(set, way, within);
  }
}
