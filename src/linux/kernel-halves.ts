import type { GuestPhysical, GuestVirtual } from "../base/address.ts";
import { entryFrame } from "../arch/x86/page-tables.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

/** An entry of a process's top table that does not lead where everybody's does. */
export type OwnKernelEntry = {
  /** In the top table, 256 to 511. */
  readonly index: number;
  readonly leadsTo: GuestPhysical;
};

const PRESENT = 1;
const ENTRIES = 512;
const KERNEL_HALF = 256;
const ENTRY_SIZE = 8;
const HALF_SIZE = (ENTRIES - KERNEL_HALF) * ENTRY_SIZE;
/**
 * LDT_PGD_ENTRY with four and with five levels (arch/x86/include/asm/pgtable_64_types.h): where a
 * process has its own segments mapped, beside page-table isolation.
 */
const LDT_ENTRY = { 4: ENTRIES - 240, 5: ENTRIES - 112 } as const;

/**
 * Compares the kernel's half of processes' top tables with that of `init_mm`: all processes share
 * what lies below it (pgd_ctor in arch/x86/mm/pgtable.c). What a process has not got yet is copied
 * when it is needed, so that an empty entry is none of its own.
 */
export class KernelHalves {
  readonly #kernel: Kernel;
  readonly #pgd: Reader;
  readonly #shared: readonly GuestPhysical[] | undefined;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#pgd = kernel.reader("mm_struct", "pgd");
    this.#shared = this.#half(kernel.space.tables.root);
  }

  /** Entries that a process has for itself; undefined where a table is not in memory. */
  own(mm: GuestVirtual): OwnKernelEntry[] | undefined {
    const shared = this.#shared;
    const half = this.#half(this.#kernel.space.physical(this.#pgd(mm)));
    if (shared === undefined || half === undefined) return undefined;
    const ldt = LDT_ENTRY[this.#kernel.space.tables.levels] - KERNEL_HALF;
    return half.flatMap((leadsTo, at) => {
      const isShared = leadsTo === 0 || leadsTo === shared[at] || at === ldt;
      return isShared ? [] : [{ index: KERNEL_HALF + at, leadsTo }];
    });
  }

  /** Where each entry leads; 0 for what is not present. */
  #half(root: GuestPhysical): GuestPhysical[] | undefined {
    if (!(root >= 0)) return undefined;
    const bytes = this.#kernel.memory.bytes(root + KERNEL_HALF * ENTRY_SIZE, HALF_SIZE);
    if (bytes === undefined) return undefined;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return Array.from({ length: ENTRIES - KERNEL_HALF }, (_, at) => {
      const low = view.getUint32(at * ENTRY_SIZE, true);
      const high = view.getUint32(at * ENTRY_SIZE + 4, true);
      return (low & PRESENT) === 0 ? 0 : entryFrame(low, high);
    });
  }
}
