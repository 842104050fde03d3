import { PAGE_SIZE } from "../base/address.ts";
import type { GuestPhysical } from "../base/address.ts";
import { ProcessReader } from "../native/process-memory.ts";
import { PageSlots } from "./page-slots.ts";
import type { PhysicalMemory, PhysicalRange } from "./physical-memory.ts";
import { blockOf } from "./ranges.ts";
import type { RamBlock } from "./ranges.ts";

/** RAM that only QEMU itself maps: pages are copied on demand out of QEMU's address space. */
export class ProcessMemory implements PhysicalMemory {
  readonly kind = "anonymous";
  readonly ranges: readonly PhysicalRange[];
  readonly live = true;
  readonly stable = false;
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  readonly #blocks: readonly RamBlock[];
  readonly #base: bigint;
  readonly #reader: ProcessReader;
  readonly #slots: PageSlots;

  /** `hostAddress` is where the RAM block begins in the process `pid`. */
  constructor(pid: number, hostAddress: bigint, blocks: readonly RamBlock[]) {
    this.#reader = new ProcessReader(pid);
    this.#base = hostAddress;
    this.#blocks = blocks;
    this.ranges = blocks;
    this.#slots = new PageSlots((page, target) => this.#fill(page, target));
    this.u8 = this.#slots.u8;
    this.u32 = this.#slots.u32;
  }

  offsetOf(physical: GuestPhysical): number {
    return this.#slots.offsetOf(physical);
  }

  bytes(physical: GuestPhysical, length: number): Uint8Array | undefined {
    const block = blockOf(this.#blocks, physical);
    if (block === undefined || physical + length > block.start + block.size) return undefined;
    const target = new Uint8Array(new ArrayBuffer(length));
    return this.#read(block, physical, target) ? target : undefined;
  }

  /** Why the memory cannot be read (`EPERM`, `ESRCH`, …), or undefined where it can. */
  probe(): string | undefined {
    const result = this.#reader.read(this.#base, new Uint8Array(new ArrayBuffer(PAGE_SIZE)));
    return typeof result === "string" ? result : undefined;
  }

  refresh(): void {
    this.#slots.clear();
  }

  [Symbol.dispose](): void {
    this.#slots.clear();
  }

  #fill(page: GuestPhysical, target: Uint8Array): boolean {
    const block = blockOf(this.#blocks, page);
    return (
      block !== undefined &&
      page + PAGE_SIZE <= block.start + block.size &&
      this.#read(block, page, target)
    );
  }

  #read(block: RamBlock, physical: GuestPhysical, target: Uint8Array): boolean {
    const address = this.#base + BigInt(physical - block.start + block.offset);
    return this.#reader.read(address, target) === target.byteLength;
  }
}
