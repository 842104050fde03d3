import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { PageFrames } from "./page-frames.ts";

/**
 * Tells which `kmem_cache` an object was allocated from, by the `struct slab` of its page
 * (mm/slab.h; a part of `struct page` until 5.17).
 */
export class SlabOwners {
  readonly #kernel: Kernel;
  readonly #frames: PageFrames;
  readonly #cache: Reader | undefined;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#frames = new PageFrames(kernel);
    this.#cache = kernel.readerOf("slab", "slab_cache") ?? kernel.readerOf("page", "slab_cache");
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
    if (this.#cache === undefined || physical < 0) return Number.NaN;
    return this.#cache(this.#frames.headAt(physical));
  }
}
