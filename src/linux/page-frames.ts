import { PAGE_SIZE } from "../base/address.ts";
import type { GuestPhysical, GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { regionBase } from "./memory-layout.ts";

/** PAGE_MAPPING_FLAGS (include/linux/page-flags.h): such a mapping is no address_space. */
const MAPPING_FLAGS = 3;
/** The upper half of a mask has all high bits set, which no address of a `struct page` has. */
const MASK = 0xffff_ff00;
/** PAGE_MAPPING_ANON: the rest is an anon_vma. */
const MAPPING_ANON = 1;

/**
 * Decodes `struct page` and `struct folio` (include/linux/mm_types.h): which frame a page is, and
 * to which file it belongs.
 */
export class PageFrames {
  /** The `struct address_space` of a folio; of an anonymous one an odd number. */
  readonly mapping: Reader;
  /** Position of a folio's first page in its file, in pages. */
  readonly index: Reader;
  /** The kernel has folios (5.16), which are stored once; before, each page of a large one was. */
  readonly hasFolios: boolean;
  readonly #kernel: Kernel;
  readonly #base: GuestVirtual;
  readonly #size: number;
  readonly #flags: number;
  readonly #uptodate: number | undefined;
  readonly #changed: readonly (number | undefined)[];
  readonly #head: number | undefined;

  constructor(kernel: Kernel) {
    // Folios came in 5.16; before, the first of a compound of pages stands for all.
    this.hasFolios = kernel.types.has("folio", "mapping");
    const struct = this.hasFolios ? "folio" : "page";
    this.#kernel = kernel;
    this.mapping = kernel.reader(struct, "mapping");
    this.index = kernel.reader(struct, "index");
    this.#base = regionBase(kernel, "vmemmap_base");
    this.#size = kernel.types.size("page");
    this.#flags = kernel.offset(struct, "flags");
    const head = kernel.types.member("page", "compound_head");
    this.#head = (head ?? kernel.types.member("page", "compound_info"))?.offset;
    this.#changed = ["PG_dirty", "PG_writeback"].map((name) =>
      kernel.types.enumerator("pageflags", name),
    );
    this.#uptodate = kernel.types.enumerator("pageflags", "PG_uptodate");
  }

  /** Physical address of the frame that the `struct page` at `page` describes; NaN where it is none. */
  physical(page: GuestVirtual): GuestPhysical {
    const number = (page - this.#base) / this.#size;
    return Number.isInteger(number) && number >= 0 ? number * PAGE_SIZE : Number.NaN;
  }

  /** The `struct page` of a frame. */
  pageAt(physical: GuestPhysical): GuestVirtual {
    return this.#base + Math.floor(physical / PAGE_SIZE) * this.#size;
  }

  /**
   * The `struct page` of a frame, or where it is a later one of several the first (_compound_head in
   * include/linux/page-flags.h); NaN where that cannot be told. Bit 0 marks a later one: the rest is
   * the head's address, or since 7.1 a mask for its own, where `struct page` is a power of two.
   */
  headAt(physical: GuestPhysical): GuestVirtual {
    if (this.#head === undefined) return Number.NaN;
    const number = Math.floor(physical / PAGE_SIZE) * this.#size;
    const at = this.#base + number + this.#head;
    const low = this.#kernel.space.u32(at);
    if ((low & 1) === 0) return low === low ? this.#base + number : Number.NaN;
    const high = this.#kernel.space.u32(at + 4);
    if (high < MASK) return this.#kernel.space.folding.fold(low - 1, high);
    const size = (0xffff_ffff - high) * 2 ** 32 + 2 ** 32 - (low - 1);
    return this.#base + number - (number % size);
  }

  /** Whether a frame holds memory of a process and no file's: undefined where that cannot be told. */
  isAnonymous(physical: GuestPhysical): boolean | undefined {
    const mapping = this.mapping(this.headAt(physical));
    return mapping !== mapping ? undefined : Math.abs(mapping % 2) === MAPPING_ANON;
  }

  /** Its content has been read from where the file lies: before, it is what the frame held earlier. */
  isUptodate(folio: GuestVirtual): boolean {
    const bit = this.#uptodate;
    return bit === undefined || ((this.#kernel.space.u32(folio + this.#flags) >>> bit) & 1) === 1;
  }

  /** What it holds was changed and is not on its disk yet, or on its way there. */
  isChanged(folio: GuestVirtual): boolean {
    const flags = this.#kernel.space.u32(folio + this.#flags);
    return this.#changed.some((bit) => bit !== undefined && ((flags >>> bit) & 1) === 1);
  }

  /** True where the folio is part of that file's cache. */
  belongsTo(folio: GuestVirtual, mapping: GuestVirtual): boolean {
    const own = this.mapping(folio);
    return own === mapping && Math.abs(own % (MAPPING_FLAGS + 1)) === 0;
  }
}
