import { closeSync } from "node:fs";
import type { GuestPhysical } from "../base/address.ts";
import { dataExtents, mapFiles } from "../native/mmap.ts";
import type { Extent, Mapping, MappedFile } from "../native/mmap.ts";
import type { PhysicalMemory, PhysicalRange } from "./physical-memory.ts";
import { blockOf } from "./ranges.ts";
import type { RamBlock } from "./ranges.ts";

/** A running guest's RAM file or memfd, mapped shared and read-only: no byte of it is copied. */
export class MappedMemory implements PhysicalMemory {
  readonly kind: string;
  readonly ranges: readonly PhysicalRange[];
  readonly live = true;
  readonly stable = true;
  u8: Uint8Array;
  u32: Uint32Array;
  readonly #blocks: readonly RamBlock[];
  readonly #mapping: Mapping;
  readonly #files: readonly MappedFile[];
  // The first block holds nearly every address asked for.
  readonly #lowEnd: number;
  readonly #lowOffset: number;

  /**
   * Maps files one behind the other; offsets of `blocks` count through all of them. The files are
   * closed with this source.
   */
  constructor(kind: string, files: readonly MappedFile[], blocks: readonly RamBlock[]) {
    this.kind = kind;
    this.#files = files;
    this.#mapping = mapFiles(files);
    this.u8 = new Uint8Array(this.#mapping.buffer);
    this.u32 = new Uint32Array(this.#mapping.buffer);
    this.#blocks = blocks;
    this.ranges = blocks;
    const first = blocks[0];
    this.#lowEnd = first !== undefined && first.start === 0 ? first.size : 0;
    this.#lowOffset = first?.offset ?? 0;
  }

  offsetOf(physical: GuestPhysical): number {
    if (physical >= 0 && physical < this.#lowEnd) return physical + this.#lowOffset;
    const block = blockOf(this.#blocks, physical);
    return block === undefined ? -1 : physical - block.start + block.offset;
  }

  bytes(physical: GuestPhysical, length: number): Uint8Array | undefined {
    const block = blockOf(this.#blocks, physical);
    if (block === undefined || physical + length > block.start + block.size) return undefined;
    const at = physical - block.start + block.offset;
    return this.u8.subarray(at, at + length);
  }

  /** Only what the guest has touched: a scan must not allocate the rest on the host. */
  populated(): PhysicalRange[] {
    const extents = this.#extents();
    return this.#blocks.flatMap((block) =>
      extents
        .map((extent) => ({
          start: Math.max(extent.start, block.offset),
          end: Math.min(extent.end, block.offset + block.size),
        }))
        .filter(({ start, end }) => end > start)
        .map(({ start, end }) => ({
          start: start - block.offset + block.start,
          size: end - start,
        })),
    );
  }

  /** Always current. */
  refresh(): void {}

  /** Gives back the page-table entries that a scan left behind. */
  forget({ start, size }: PhysicalRange): void {
    for (const block of this.#blocks) {
      const from = Math.max(start, block.start);
      const to = Math.min(start + size, block.start + block.size);
      if (from < to) this.#mapping.forget(from - block.start + block.offset, to - from);
    }
  }

  [Symbol.dispose](): void {
    this.u8 = new Uint8Array(0);
    this.u32 = new Uint32Array(0);
    this.#mapping[Symbol.dispose]();
    for (const { fd } of this.#files) closeSync(fd);
  }

  /** Of all files, counted through them. */
  #extents(): Extent[] {
    let base = 0;
    return this.#files.flatMap(({ fd, size }) => {
      const shift = base;
      base += size;
      return dataExtents(fd, size).map(({ start, end }) => ({
        start: start + shift,
        end: end + shift,
      }));
    });
  }
}
