import type { AddressSpace } from "../arch/x86/address-space.ts";
import { AddressSpace as Space } from "../arch/x86/address-space.ts";
import { FAULT, PAGE_SIZE } from "../base/address.ts";
import type { GuestPhysical, GuestVirtual } from "../base/address.ts";
import { Budget } from "../base/budget.ts";
import { KvmsecError } from "../base/errors.ts";
import type { SymbolTable } from "../formats/symbol-table.ts";
import type { PhysicalMemory } from "../memory/physical-memory.ts";
import type { KernelIdentity } from "./discovery/identity.ts";
import type { KernelImage } from "./discovery/kernel-image.ts";
import { BootMark } from "./boot-mark.ts";
import { memberReader } from "./member-reader.ts";
import type { Reader } from "./member-reader.ts";
import { Types } from "./types.ts";

/** A process's memory is read in few places, and there may be thousands of processes. */
const USER_TLB_SLOTS = 64;
/** More than any banner has (init/version-timestamp.c). */
export const MAX_BANNER = 512;
/** X86_FEATURE_PTI is bit 11 of word 7 (arch/x86/include/asm/cpufeatures.h). */
const PTI_WORD = 7;
const PTI_BIT = 1 << 11;

/** What discovery found out, from which a `Kernel` is made. */
export type KernelParts = {
  readonly memory: PhysicalMemory;
  readonly image: KernelImage;
  readonly space: AddressSpace;
  readonly symbols: SymbolTable;
  readonly types: Types;
  readonly identity: KernelIdentity;
  /** Doubts that a reader should know of: a second image, a hint that did not fit. */
  readonly warnings: readonly string[];
};

/** A guest's kernel, readable by its own names. Everything in this folder takes one. */
export class Kernel {
  readonly memory: PhysicalMemory;
  readonly image: KernelImage;
  /** The kernel's own address space (`init_mm`). */
  readonly space: AddressSpace;
  readonly symbols: SymbolTable;
  readonly types: Types;
  readonly identity: KernelIdentity;
  readonly warnings: readonly string[];
  readonly #readers = new Map<string, Reader>();
  readonly #boot: BootMark;

  constructor(parts: KernelParts) {
    this.memory = parts.memory;
    this.image = parts.image;
    this.space = parts.space;
    this.symbols = parts.symbols;
    this.types = parts.types;
    this.identity = parts.identity;
    this.warnings = parts.warnings;
    this.#boot = new BootMark(this);
  }

  /** Forgets what was copied or translated: the next view sees the guest as it is now. */
  refresh(): void {
    this.space.flush();
  }

  /**
   * Called between reading something and looking whether it still holds: where memory is copied
   * page by page, the second look would otherwise see the copies of the first.
   */
  lookAgain(): void {
    if (this.memory.live && !this.memory.stable) this.refresh();
  }

  /**
   * Whether the kernel that was understood still lies there, and it is the same boot of it. After a
   * reboot its image may long stay in memory that nobody has taken yet, so its first process is
   * looked at too: that one and kthreadd are children of init_task (rest_init in init/main.c).
   */
  inPlace(): boolean {
    this.lookAgain();
    if (!this.#boot.isSame()) return false;
    const shown = this.space.string(this.symbol("linux_banner"), MAX_BANNER);
    if (shown?.trimEnd() !== this.identity.banner) return false;
    const idle = this.symbol("init_task");
    const tasks = this.offset("task_struct", "tasks");
    const first = this.space.pointer(idle + tasks) - tasks;
    return first === idle || this.reader("task_struct", "real_parent")(first) === idle;
  }

  /** Before a running guest is looked at once more: the more often, the longer it is waited for. */
  lookLater(attempt: number, budget: Budget): void {
    if (this.memory.live && attempt > 2) budget.wait(2 ** (attempt - 3));
    this.refresh();
  }

  /** Gives back what going through all of the image's text left resident: little else reads it. */
  forgetText(): void {
    const { physical, virtual } = this.image;
    const size = Math.floor((this.symbol("_etext") - virtual) / PAGE_SIZE) * PAGE_SIZE;
    if (size > 0) this.memory.forget?.({ start: physical, size });
  }

  /** Address of a symbol, NaN where the kernel has none. */
  symbol(name: string): GuestVirtual {
    return this.symbols.address(name);
  }

  /** Address of a symbol that every kernel of interest has. Throws KVMSEC_SYMBOL_MISSING. */
  requireSymbol(name: string): GuestVirtual {
    const address = this.symbols.address(name);
    if (address === address) return address;
    throw new KvmsecError("KVMSEC_SYMBOL_MISSING", `This kernel has no symbol ${name}.`, {
      hint: "It was built without KALLSYMS_ALL, or without that feature.",
    });
  }

  /**
   * A compiled reader of one member: give it the address of the struct and it returns the value.
   * Integers and enums by their size and sign, pointers folded, embedded structs and arrays as
   * their address. Throws KVMSEC_TYPE_MISSING.
   */
  reader(struct: string, path: string): Reader {
    const key = `${struct}.${path}`;
    let reader = this.#readers.get(key);
    if (reader === undefined) {
      const member = this.types.require(struct, path);
      reader = memberReader(this.space, this.types.source, member);
      this.#readers.set(key, reader);
    }
    return reader;
  }

  /** As `reader` for the first of several paths that exists, newest layout first; else undefined. */
  readerOf(struct: string, ...paths: readonly string[]): Reader | undefined {
    const path = paths.find((each) => this.types.has(struct, each));
    return path === undefined ? undefined : this.reader(struct, path);
  }

  /** As `reader`; where this kernel was built without the member, one that only gives faults. */
  readerOrFault(struct: string, path: string): Reader {
    return this.readerOf(struct, path) ?? (() => FAULT);
  }

  /** As `reader`, for an `unsigned long` that holds an address. Throws KVMSEC_TYPE_MISSING. */
  addressReader(struct: string, path: string): Reader {
    const offset = this.types.offset(struct, path);
    return (object) => this.space.pointer(object + offset);
  }

  /** Byte offset of a member. Throws KVMSEC_TYPE_MISSING. */
  offset(struct: string, path: string): number {
    return this.types.offset(struct, path);
  }

  /** Another address space by its page-table root: a process's, for user memory. */
  userSpace(root: GuestPhysical): AddressSpace {
    const { folding, tables } = this.space;
    return new Space(this.memory, folding, root, tables.levels, USER_TLB_SLOTS);
  }

  /** An address as `"0xffff…"`. */
  format(address: GuestVirtual): string {
    return this.space.folding.format(address);
  }

  /**
   * Page-table isolation is on: user mode runs on a second, smaller root (X86_FEATURE_PTI).
   * Undefined where that word of the processor's features cannot be read.
   */
  get kpti(): boolean | undefined {
    const capabilities = this.types.member("cpuinfo_x86", "x86_capability")?.offset ?? FAULT;
    const word = this.space.u32(this.symbol("boot_cpu_data") + capabilities + PTI_WORD * 4);
    return word === word ? (word & PTI_BIT) !== 0 : undefined;
  }

  /** Limits for one view: steps for every list it walks, and time. */
  budget(): Budget {
    return new Budget();
  }

  /** `this_cpu_ptr` of a per-CPU variable, or NaN. A kernel for one processor has it in place. */
  perCpu(variable: GuestVirtual, cpu: number): GuestVirtual {
    const offsets = this.symbol("__per_cpu_offset");
    if (offsets !== offsets) return variable;
    const offset = this.space.u64(offsets + cpu * 8);
    if (offset === undefined || variable !== variable) return FAULT;
    return this.space.folding.foldBig(this.space.folding.unfold(variable) + offset);
  }
}
