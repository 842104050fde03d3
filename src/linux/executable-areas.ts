import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { VmaLists } from "./vma-list.ts";

/** Bits of vm_flags (include/linux/mm.h), unchanged since 2.6. */
const VM_WRITE = 0x2;
const VM_EXEC = 0x4;
const VM_SHARED = 0x8;
const VM_GROWSDOWN = 0x100;
/** A running process changes its mappings; a moment later they stand still. */
const ATTEMPTS = 4;

/** A mapping from which a process may execute. */
export type ExecutableArea = {
  readonly vma: GuestVirtual;
  readonly start: number;
  /** First address behind it. */
  readonly end: number;
  readonly writable: boolean;
  readonly shared: boolean;
  /** Part of a stack that the kernel made. */
  readonly growsDown: boolean;
  /** `struct file`; 0 for plain memory. */
  readonly file: GuestVirtual;
  /** Bytes from the start of the file. */
  readonly offset: number;
  /** The kernel's own: `[vdso]`, `[uprobes]`. */
  readonly special: boolean;
};

/** Reads only what of a process's mappings can be executed: a fifth of them, and few facts of each. */
export class ExecutableAreas {
  readonly #kernel: Kernel;
  readonly #lists: VmaLists;
  readonly #flags: Reader;
  readonly #file: Reader;
  readonly #pageOffset: Reader;
  readonly #operations: Reader;
  readonly #special: readonly GuestVirtual[];

  constructor(kernel: Kernel) {
    const vma = (member: string): Reader => kernel.reader("vm_area_struct", member);
    this.#kernel = kernel;
    this.#lists = new VmaLists(kernel);
    this.#flags = vma("vm_flags");
    this.#file = vma("vm_file");
    this.#pageOffset = vma("vm_pgoff");
    this.#operations = vma("vm_ops");
    this.#special = ["special_mapping_vmops", "legacy_special_mapping_vmops"].map((name) =>
      kernel.symbol(name),
    );
  }

  /** By rising address; undefined where the mappings kept changing, or cannot be read. */
  of(mm: GuestVirtual, budget: Budget): ExecutableArea[] | undefined {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (attempt > 0) this.#kernel.lookLater(attempt, budget);
      const areas = this.#lists.areas(mm, budget);
      if (areas.length !== this.#lists.count(mm)) continue;
      const found = areas.flatMap((vma) => this.#executable(vma) ?? []);
      if (found.every(({ vma, start, end }) => end > start && this.#lists.belongs(vma, mm))) {
        return found;
      }
    }
    return undefined;
  }

  #executable(vma: GuestVirtual): ExecutableArea | undefined {
    const flags = this.#flags(vma);
    if ((flags & VM_EXEC) === 0) return undefined;
    const file = this.#file(vma);
    return {
      vma,
      start: this.#lists.start(vma),
      end: this.#lists.end(vma),
      writable: (flags & VM_WRITE) !== 0,
      shared: (flags & VM_SHARED) !== 0,
      growsDown: (flags & VM_GROWSDOWN) !== 0,
      file: file < 0 ? file : 0,
      offset: this.#pageOffset(vma) * 4096,
      special: this.#special.includes(this.#operations(vma)),
    };
  }
}
