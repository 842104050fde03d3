import { PAGE_SIZE } from "../base/address.ts";
import type { GuestPhysical } from "../base/address.ts";
import type { PhysicalMemory } from "./physical-memory.ts";

/** So much of what was passed stays resident. */
const RESIDENT = 0x10_0000;
/** Giving back a few pages costs more than they do. */
const WORTH = 0x1_0000;

/**
 * Pages of guest memory that a long walk leaves behind it: they are not kept resident. An array of
 * all `struct page` is a 64th of the guest, a kernel's text some 15 MiB.
 */
export class PassedPages {
  readonly #memory: PhysicalMemory;
  #start = 0;
  #end = 0;

  constructor(memory: PhysicalMemory) {
    this.#memory = memory;
  }

  /** Told of each page before it is read. */
  add(page: GuestPhysical): void {
    const size = this.#end - this.#start;
    if (page !== this.#end || size >= RESIDENT) {
      if (size >= WORTH) this.#memory.forget?.({ start: this.#start, size });
      this.#start = page;
    }
    this.#end = page + PAGE_SIZE;
  }
}
