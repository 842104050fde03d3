import { PAGE_SIZE } from "../base/address.ts";
import type { GuestPhysical } from "../base/address.ts";
import { PageSlots } from "./page-slots.ts";
import type { PhysicalMemory, PhysicalRange } from "./physical-memory.ts";
import { blockOf } from "./ranges.ts";
import type { RamBlock } from "./ranges.ts";

/** Fills `target` with what lies at `offset` of a block's backing; false where it cannot. */
export type ReadRam = (offset: number, target: Uint8Array) => boolean;

/** A block of RAM, and how it is read. */
export type CopiedBlock = RamBlock & { readonly read: ReadRam };

/** A running guest's RAM that cannot be mapped here: pages are copied on demand. */
export class CopiedRam implements PhysicalMemory {
  readonly kind: string;
  readonly ranges: readonly PhysicalRange[];
  readonly live = true;
  readonly stable = false;
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  readonly #blocks: readonly CopiedBlock[];
  readonly #close: () => void;
  readonly #slots: PageSlots;

  /** `close` lets go of what the blocks are read from. */
  constructor(kind: string, blocks: readonly CopiedBlock[], close: () => void) {
    this.kind = kind;
    this.#blocks = blocks;
    this.#close = close;
    this.ranges = blocks.map(({ start, size }) => ({ start, size }));
    this.#slots = new PageSlots((page, target) => this.#read(page, target));
    this.u8 = this.#slots.u8;
    this.u32 = this.#slots.u32;
  }

  offsetOf(physical: GuestPhysical): number {
    return this.#slots.offsetOf(physical);
  }

  bytes(physical: GuestPhysical, length: number): Uint8Array | undefined {
    const block = blockOf(this.#blocks, physical);
    // The length may be a guest's: nothing is made for what is not there.
    if (block === undefined || physical + length > block.start + block.size) return undefined;
    const target = new Uint8Array(new ArrayBuffer(length));
    return this.#read(physical, target) ? target : undefined;
  }

  readInto(physical: GuestPhysical, target: Uint8Array): number {
    return this.#read(physical, target) ? target.length : 0;
  }

  /** Whether the first page of every block can be read. */
  probe(): boolean {
    const page = new Uint8Array(new ArrayBuffer(PAGE_SIZE));
    return this.#blocks.every((block) => block.read(block.offset, page));
  }

  refresh(): void {
    this.#slots.clear();
  }

  [Symbol.dispose](): void {
    this.#slots.clear();
    this.#close();
  }

  #read(physical: GuestPhysical, target: Uint8Array): boolean {
    const block = blockOf(this.#blocks, physical);
    return (
      block !== undefined &&
      physical + target.length <= block.start + block.size &&
      block.read(physical - block.start + block.offset, target)
    );
  }
}
