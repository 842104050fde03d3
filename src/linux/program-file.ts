import { PAGE_SIZE } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";
import { PT_DYNAMIC, PT_LOAD, elfParts, hasTextRelocations } from "../formats/elf-program.ts";
import type { ElfPart } from "../formats/elf-program.ts";
import type { Kernel } from "./kernel.ts";
import { PageCache } from "./page-cache.ts";

/** A dynamic section has 30 entries; room for many more. */
const MAX_DYNAMIC = 64 * 1024;

/** What a cached file says of itself as a program. */
export type ProgramFile = {
  readonly parts: readonly ElfPart[];
  /** The loader writes into its code. */
  readonly textRelocations: boolean;
};

/** Reads programs and libraries out of the page cache. */
export class ProgramFiles {
  readonly cache: PageCache;
  readonly #kernel: Kernel;
  readonly #known = new Map<GuestVirtual, ProgramFile | undefined>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.cache = new PageCache(kernel);
  }

  /** Undefined for what is no 64-bit ELF program, or whose beginning is not cached. */
  of(mapping: GuestVirtual): ProgramFile | undefined {
    if (!this.#known.has(mapping)) this.#known.set(mapping, this.#read(mapping));
    return this.#known.get(mapping);
  }

  /** One page of a file as it is cached; undefined where it is not. */
  page(mapping: GuestVirtual, index: number): Uint8Array | undefined {
    const physical = this.cache.pageAt(mapping, index);
    return physical > 0 ? this.#kernel.memory.bytes(physical, PAGE_SIZE) : undefined;
  }

  /** Whether code of a file at an offset is meant to be executed and never written. */
  isConstantCode({ parts, textRelocations }: ProgramFile, offset: number): boolean {
    const part = parts.find(
      (each) =>
        each.type === PT_LOAD &&
        offset + PAGE_SIZE > each.offset &&
        offset < each.offset + each.size,
    );
    return part !== undefined && part.executable && !part.writable && !textRelocations;
  }

  #read(mapping: GuestVirtual): ProgramFile | undefined {
    const head = this.page(mapping, 0);
    const parts = head === undefined ? undefined : elfParts(Uint8Array.from(head));
    if (parts === undefined) return undefined;
    const dynamic = parts.find(({ type }) => type === PT_DYNAMIC);
    const section = dynamic === undefined ? undefined : this.#stretch(mapping, dynamic);
    return {
      parts,
      textRelocations: section !== undefined && hasTextRelocations(section),
    };
  }

  /** A stretch of a file; what is not cached counts as its end. */
  #stretch(mapping: GuestVirtual, { offset, size }: ElfPart): Uint8Array {
    const end = offset + Math.min(size, MAX_DYNAMIC);
    const pieces: Uint8Array[] = [];
    for (let at = offset; at < end;) {
      const page = this.page(mapping, Math.floor(at / PAGE_SIZE));
      if (page === undefined) break;
      const within = at % PAGE_SIZE;
      const length = Math.min(PAGE_SIZE - within, end - at);
      pieces.push(Uint8Array.from(page.subarray(within, within + length)));
      at += length;
    }
    return Buffer.concat(pieces);
  }
}
