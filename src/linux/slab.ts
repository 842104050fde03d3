import { PAGE_SIZE } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

/**
 * Tells which `kmem_cache` an object was allocated from, by the `struct slab` of its page
 * (mm/slab.h; a part of `struct page` until 5.17).
 */
export class SlabOwners {
  readonly #kernel: Kernel;
  readonly #base: GuestVirtual;
  readonly #pageSize: number;
  readonly #cache: Reader | undefined;
  readonly #head: number | undefined;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#base = kernel.space.pointer(kernel.symbol("vmemmap_base"));
    this.#pageSize = kernel.types.size("page");
    this.#cache = kernel.readerOf("slab", "slab_cache") ?? kernel.readerOf("page", "slab_cache");
    this.#head = kernel.types.member("page", "compound_head")?.offset;
  }

  /** The cache that a variable such as `cred_jar` names; NaN where the kernel tells none. */
  named(variable: string): GuestVirtual {
    return this.#kernel.space.pointer(this.#kernel.symbol(variable));
  }

  /**
   * The cache of the page that an object lies in: for what is no slab some other value. NaN where
   * that cannot be told.
   */
  of(object: GuestVirtual): GuestVirtual {
    const physical = this.#kernel.space.physical(object);
    if (this.#cache === undefined || this.#head === undefined || physical < 0) return Number.NaN;
    const page = this.#base + Math.floor(physical / PAGE_SIZE) * this.#pageSize;
    const head = this.#kernel.space.pointer(page + this.#head);
    // PageTail (include/linux/page-flags.h): bit 0 set, the rest is the head.
    return this.#cache(Math.abs(head % 2) === 1 ? head - 1 : page);
  }
}
