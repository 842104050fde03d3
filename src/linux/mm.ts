import { PAGE_SIZE } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import { PerCpu } from "./per-cpu.ts";
import type { Field } from "./struct-window.ts";
import { StructWindow } from "./struct-window.ts";

/** The counters of resident pages that RSS is the sum of: MM_FILEPAGES, MM_ANONPAGES, MM_SHMEMPAGES. */
export const RESIDENT = [0, 1, 3] as const;

/** What a process's `struct mm_struct` tells without reading its memory. */
export type MemoryUse = {
  /** Resident bytes, as VmRSS. */
  readonly rss: number;
  /** Mapped bytes, as VmSize. */
  readonly vsz: number;
  /** `struct file` of the program; 0 where there is none. */
  readonly exeFile: GuestVirtual;
};

/** Decodes `struct mm_struct` (include/linux/mm_types.h). */
export class MemoryDescriptors {
  readonly #kernel: Kernel;
  readonly #window: StructWindow;
  readonly #exeFile: Field;
  readonly #totalPages: Field;
  readonly #residentPages: () => number;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#window = new StructWindow(kernel, "mm_struct");
    this.#exeFile = this.#window.field("exe_file");
    this.#totalPages = this.#window.field("total_vm");
    // Counters went per CPU in 6.2 (f1a7941243c1); with one processor (no CONFIG_SMP) there is one.
    const { types } = kernel;
    if (types.has("mm_struct", "rss_stat[0].counters"))
      this.#residentPages = this.#perCpuCounters();
    else if (types.has("mm_struct", "rss_stat[0].count")) {
      this.#residentPages = this.#plainCounters((counter) => `rss_stat[${counter}].count`);
    } else {
      this.#residentPages = this.#plainCounters((counter) => `rss_stat.count[${counter}].counter`);
    }
  }

  /** `ownPages` are resident pages that threads still keep to themselves. */
  decode(mm: GuestVirtual, ownPages: number): MemoryUse {
    this.#window.load(mm);
    return {
      rss: Math.max(this.#residentPages() + ownPages, 0) * PAGE_SIZE,
      vsz: this.#totalPages() * PAGE_SIZE,
      exeFile: this.#exeFile(),
    };
  }

  #plainCounters(path: (counter: number) => string): () => number {
    const [file, anonymous, shared] = RESIDENT.map((counter) => this.#window.field(path(counter)));
    return () => file!() + anonymous!() + shared!();
  }

  /** The exact sum, as percpu_counter_sum (lib/percpu_counter.c). */
  #perCpuCounters(): () => number {
    const { space } = this.#kernel;
    const window = this.#window;
    const perCpu = new PerCpu(this.#kernel);
    const counters = RESIDENT.map((counter) => ({
      count: window.field(`rss_stat[${counter}].count`),
      pointer: this.#kernel.offset("mm_struct", `rss_stat[${counter}].counters`),
    }));
    const cpus = perCpu.cpus.length;
    return () => {
      let pages = 0;
      for (const { count, pointer } of counters) {
        const low = window.word(pointer);
        const high = window.word(pointer + 4);
        pages += count();
        for (let cpu = 0; cpu < cpus; cpu++) pages += space.i32(perCpu.locate(low, high, cpu));
      }
      return pages;
    };
  }
}
