import { PAGE_SIZE } from "../base/address.ts";
import type { GuestPhysical, GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { PageFrames } from "./page-frames.ts";
import { XArrays } from "./xarray.ts";
import type { XArrayEntry } from "./xarray.ts";

/**
 * Why a stretch of a file has no bytes here: `sparse` a hole in a file that lives in memory only,
 * so it is zeros; `absent` never read or written since the file was opened; `evicted` it was in
 * memory once; `swapped` it is in the guest's swap; `unread` the guest was reading it just then;
 * `unreadable` it should be in memory, but is not in what was given of it; `changing` it was
 * replaced while it was copied.
 */
export type HoleReason =
  | "sparse"
  | "absent"
  | "evicted"
  | "swapped"
  | "unread"
  | "unreadable"
  | "changing";

/** A stretch of a file, in ascending order and without gaps between. */
export type FilePiece =
  | { readonly offset: number; readonly length: number; readonly bytes: Uint8Array }
  | {
      readonly offset: number;
      readonly length: number;
      readonly bytes?: undefined;
      readonly hole: HoleReason;
    };

/** Filesystems whose files are nowhere but in the page cache: what was never written is zeros. */
const MEMORY_FILESYSTEMS = new Set(["tmpfs", "ramfs", "devtmpfs", "hugetlbfs"]);
/** MAX_LFS_FILESIZE is 2^63 − 1; beyond this a double is not exact, and no guest can hold it. */
const MAX_SIZE = 2 ** 52;
const MAX_PIECE = 2 ** 21;
const TYPE_NAME_LENGTH = 32;
/** Pages of a huge page (HPAGE_PMD_NR). */
const HUGE_PAGES = 512;

type Run = { readonly index: number; readonly count: number } & (
  | { readonly physical: GuestPhysical; readonly folio: GuestVirtual }
  | { readonly hole: HoleReason }
);

/**
 * Reads files out of the page cache: `inode.i_mapping`, an XArray of folios by their position
 * (struct address_space, include/linux/fs.h). The bytes are what the guest's own programs get when
 * they read the file, which may differ from what lies on the disk.
 */
export class PageCache {
  readonly frames: PageFrames;
  /** The `struct address_space` of an inode. */
  readonly mapping: Reader;
  /** Pages that are cached. */
  readonly cachedPages: Reader;
  /** Bytes of the file. */
  readonly size: Reader;
  readonly #kernel: Kernel;
  readonly #arrays: XArrays;
  readonly #pages: number;
  readonly #superBlock: Reader;
  readonly #blockSize: Reader;
  readonly #type: Reader;
  readonly #typeName: Reader;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.frames = new PageFrames(kernel);
    this.mapping = kernel.reader("inode", "i_mapping");
    this.size = kernel.reader("inode", "i_size");
    this.cachedPages = kernel.reader("address_space", "nrpages");
    this.#arrays = new XArrays(kernel);
    this.#pages = kernel.offset("address_space", "i_pages");
    this.#superBlock = kernel.reader("inode", "i_sb");
    this.#blockSize = kernel.reader("super_block", "s_blocksize");
    this.#type = kernel.reader("super_block", "s_type");
    this.#typeName = kernel.reader("file_system_type", "name");
  }

  /** Name of the filesystem that an inode is of. */
  filesystem(inode: GuestVirtual): string | undefined {
    const type = this.#type(this.#superBlock(inode));
    return this.#kernel.space.string(this.#typeName(type), TYPE_NAME_LENGTH);
  }

  /** The folio of page number `index`; 0 for none, NaN for a value in its place or a fault. */
  folioAt(mapping: GuestVirtual, index: number): GuestVirtual {
    return this.#arrays.load(mapping + this.#pages, index);
  }

  /**
   * Where page number `index` of a file lies in RAM; 0 where it is not cached, NaN where it is being
   * read or replaced, or cannot be told.
   */
  pageAt(mapping: GuestVirtual, index: number): GuestPhysical {
    const { frames } = this;
    const folio = this.folioAt(mapping, index);
    if (folio === 0 || folio !== folio) return folio;
    const within = index - frames.index(folio);
    const isInPlace = within === 0 || (within > 0 && within < HUGE_PAGES);
    if (!isInPlace || !frames.belongsTo(folio, mapping) || !frames.isUptodate(folio))
      return Number.NaN;
    return frames.physical(folio) + within * PAGE_SIZE;
  }

  /**
   * A file from its first byte to its last, as pieces of at most 2 MiB: copies of what is cached,
   * and holes. Where the cache itself cannot be read to its end, `problem` is told, and what it
   * did not yield counts as absent.
   */
  *pieces(
    inode: GuestVirtual,
    budget: Budget,
    problem?: (reason: string) => void,
  ): Generator<FilePiece> {
    const size = this.size(inode);
    const mapping = this.mapping(inode);
    if (!(size >= 0 && size <= MAX_SIZE)) return problem?.(`a file cannot be ${size} bytes long`);
    const filesystem = this.filesystem(inode) ?? "";
    const gap: HoleReason = MEMORY_FILESYSTEMS.has(filesystem) ? "sparse" : "absent";
    const unit = filesystem === "hugetlbfs" ? this.#blockSize(this.#superBlock(inode)) : PAGE_SIZE;
    let done = 0;
    for (const run of this.#runs(mapping, gap === "sparse", unit / PAGE_SIZE, budget, problem)) {
      const start = run.index * PAGE_SIZE;
      const end = Math.min(start + run.count * PAGE_SIZE, size);
      // Entries come by index: one that does not was forged.
      if (start < done || end <= start) continue;
      if (start > done) yield { offset: done, length: start - done, hole: gap };
      yield* this.#run(run, mapping, start, end);
      done = end;
    }
    if (done < size) yield { offset: done, length: size - done, hole: gap };
    return undefined;
  }

  /** What the cache's entries stand for, in their order. */
  *#runs(
    mapping: GuestVirtual,
    inMemory: boolean,
    unit: number,
    budget: Budget,
    problem?: (reason: string) => void,
  ): Generator<Run> {
    for (const entry of this.#arrays.entries(mapping + this.#pages, budget, problem)) {
      // Until 6.7 hugetlbfs counted in its own large pages, and stored each once.
      const scale = unit > 1 && entry.span === 1 ? unit : 1;
      const index = entry.index * scale;
      const count = entry.span * scale;
      // A page's place in swap, or when it was evicted (mm/shmem.c, mm/workingset.c).
      if (!Number.isNaN(entry.value))
        yield { index, count, hole: inMemory ? "swapped" : "evicted" };
      else yield this.#folioRun(entry, mapping, index, count);
    }
  }

  /** An entry whose folio does not know its place there is being changed, or was forged. */
  #folioRun(
    { pointer, index }: XArrayEntry,
    mapping: GuestVirtual,
    first: number,
    count: number,
  ): Run {
    const { frames } = this;
    const within = index - frames.index(pointer);
    const isInPlace = within === 0 || (!frames.hasFolios && within > 0 && within < HUGE_PAGES);
    const physical = frames.physical(pointer) + within * PAGE_SIZE;
    if (!isInPlace || !frames.belongsTo(pointer, mapping) || Number.isNaN(physical)) {
      return { index: first, count, hole: "changing" };
    }
    if (!frames.isUptodate(pointer)) return { index: first, count, hole: "unread" };
    return { index: first, count, physical, folio: pointer };
  }

  *#run(run: Run, mapping: GuestVirtual, start: number, end: number): Generator<FilePiece> {
    if ("hole" in run) {
      yield { offset: start, length: end - start, hole: run.hole };
      return;
    }
    for (let offset = start; offset < end; offset += MAX_PIECE) {
      const length = Math.min(MAX_PIECE, end - offset);
      const from = run.physical + offset - start;
      yield* this.#copy(run.folio, mapping, from, offset, length);
    }
  }

  *#copy(
    folio: GuestVirtual,
    mapping: GuestVirtual,
    physical: GuestPhysical,
    offset: number,
    length: number,
  ): Generator<FilePiece> {
    const bytes = this.#kernel.memory.bytes(physical, length);
    if (bytes === undefined && length > PAGE_SIZE) {
      // Some of it may be there: dumps leave pages out.
      for (let at = 0; at < length; at += PAGE_SIZE) {
        const part = Math.min(PAGE_SIZE, length - at);
        yield* this.#copy(folio, mapping, physical + at, offset + at, part);
      }
      return;
    }
    if (bytes === undefined) {
      yield { offset, length, hole: "unreadable" };
      return;
    }
    const copy = Uint8Array.from(bytes);
    this.#kernel.lookAgain();
    const stayed = this.frames.belongsTo(folio, mapping);
    yield stayed ? { offset, length, bytes: copy } : { offset, length, hole: "changing" };
  }
}
