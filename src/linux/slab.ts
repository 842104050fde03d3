import { PAGE_SIZE } from "../base/address.ts";
import type { GuestPhysical, GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { PassedPages } from "../memory/passed-pages.ts";
import { regionBase } from "./memory-layout.ts";
import { PageFrames } from "./page-frames.ts";

/** kmalloc-8 has the smallest objects. */
const MIN_STRIDE = 8;
/** SLUB takes up to eight pages at once for its objects (slub_max_order is 3). */
const MAX_SLAB = 8 * PAGE_SIZE;

type Problem = (reason: string) => void;

type Layout = {
  readonly stride: number;
  readonly count: (page: GuestVirtual) => number;
  readonly first: (page: GuestVirtual, frame: GuestPhysical) => GuestVirtual;
};

/**
 * Tells which `kmem_cache` an object was allocated from, by the `struct slab` of its page
 * (mm/slab.h; a part of `struct page` until 5.17).
 */
export class SlabOwners {
  readonly #kernel: Kernel;
  readonly #frames: PageFrames;
  readonly #cache: Reader | undefined;
  readonly #cacheOffset: number | undefined;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#frames = new PageFrames(kernel);
    this.#cache = kernel.readerOf("slab", "slab_cache") ?? kernel.readerOf("page", "slab_cache");
    this.#cacheOffset = (
      kernel.types.member("slab", "slab_cache") ?? kernel.types.member("page", "slab_cache")
    )?.offset;
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

  /**
   * Every place for an object of a cache, taken or free, by looking at the `struct page` of all of
   * memory. Finds what no list leads to. `problem` is told where this kernel's allocator does not
   * say where objects lie (SLOB, until 6.4).
   */
  *places(cache: GuestVirtual, budget: Budget, problem: Problem): Generator<GuestVirtual> {
    const slab = this.#layout(cache);
    if (slab === undefined) return problem("where objects of a cache lie is not known");
    for (const frame of this.#framesOf(cache)) {
      const page = this.#frames.pageAt(frame);
      const first = slab.first(page, frame);
      const count = Math.min(slab.count(page), Math.floor(MAX_SLAB / slab.stride));
      for (let index = 0; index < count && budget.step(); index++) {
        yield first + index * slab.stride;
      }
    }
    return undefined;
  }

  /** How objects lie in a slab of that cache; undefined where it cannot be told. */
  #layout(cache: GuestVirtual): Layout | undefined {
    const kernel = this.#kernel;
    const stride = kernel.reader("kmem_cache", "size")(cache);
    const directMap = regionBase(kernel, "page_offset_base");
    if (!(stride >= MIN_STRIDE) || !(directMap < 0) || this.#cacheOffset === undefined) {
      return undefined;
    }
    const of = (name: string): Reader | undefined =>
      kernel.readerOf("slab", name) ?? kernel.readerOf("page", name);
    const objects = of("objects");
    if (objects !== undefined) {
      // A red zone before each object, where the cache is watched (slub_debug=Z).
      const padding = kernel.readerOf("kmem_cache", "red_left_pad")?.(cache) ?? 0;
      return { stride, count: objects, first: (_, frame) => directMap + frame + padding };
    }
    // SLAB (until 6.7): all slabs of a cache hold as many, and each says where they begin.
    const first = of("s_mem");
    const number = kernel.readerOf("kmem_cache", "num")?.(cache);
    if (first === undefined || number === undefined) return undefined;
    return { stride, count: () => number, first };
  }

  /**
   * Frames whose `struct page` names a cache. One page of these is translated at a time, and its
   * words compared where they lie: about 2 ns for each frame of the guest.
   */
  *#framesOf(cache: GuestVirtual): Generator<GuestPhysical> {
    const { memory, space } = this.#kernel;
    const wanted = space.folding.unfold(cache);
    const low = Number(wanted & 0xffff_ffffn);
    const high = Number(wanted >> 32n);
    const size = this.#kernel.types.size("page");
    const member = this.#cacheOffset;
    // A struct that lies across pages is none of today's: it has 64 bytes.
    if (member === undefined || PAGE_SIZE % size !== 0) return;
    const covered = (PAGE_SIZE / size) * PAGE_SIZE;
    const passed = new PassedPages(memory);
    for (const { start, size: length } of memory.ranges) {
      for (let first = start - (start % covered); first < start + length; first += covered) {
        const physical = space.physical(this.#frames.pageAt(first));
        const at = physical < 0 ? -1 : memory.offsetOf(physical);
        if (at < 0) continue;
        passed.add(physical);
        const found: GuestPhysical[] = [];
        for (let index = 0; index < PAGE_SIZE / size; index++) {
          const word = (at + index * size + member) / 4;
          if (memory.u32[word] !== low || memory.u32[word + 1] !== high) continue;
          found.push(first + index * PAGE_SIZE);
        }
        // What comes of them may move the window.
        yield* found;
      }
    }
  }
}
