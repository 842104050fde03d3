import type { GuestPhysical } from "../base/address.ts";
import { dataExtents, mapFile } from "../native/mmap.ts";
import type { Mapping } from "../native/mmap.ts";
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
  readonly #fd: number;
  readonly #size: number;
  // The first block holds nearly every address asked for.
  readonly #lowEnd: number;
  readonly #lowOffset: number;

  /** Maps `size` bytes of `fd`, which must stay open as long as this source is used. */
  constructor(kind: string, fd: number, size: number, blocks: readonly RamBlock[]) {
    this.kind = kind;
    this.#fd = fd;
    this.#size = size;
    this.#mapping = mapFile(fd, size);
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
    const extents = dataExtents(this.#fd, this.#size);
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
  forget(): void {
    this.#mapping.forget();
  }

  [Symbol.dispose](): void {
    this.u8 = new Uint8Array(0);
    this.u32 = new Uint32Array(0);
    this.#mapping[Symbol.dispose]();
  }
}
