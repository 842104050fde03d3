import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import { MapleTrees } from "./maple-tree.ts";
import type { Reader } from "./member-reader.ts";

/** A running process changes its mappings; a moment later they stand still. */
const ATTEMPTS = 6;

/** The areas of an mm_struct at one moment. */
export type Areas = {
  readonly vmas: readonly GuestVirtual[];
  /** Why they may not be all. */
  readonly fault: string | undefined;
};

/** Finds the `vm_area_struct`s of an `mm_struct`, in order of address. */
export class VmaLists {
  readonly start: Reader;
  readonly end: Reader;
  readonly #kernel: Kernel;
  readonly #mapCount: Reader;
  readonly #mm: Reader;
  readonly #walk: (mm: GuestVirtual, budget: Budget) => GuestVirtual[] | undefined;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.start = addressReader(kernel, "vm_start");
    this.end = addressReader(kernel, "vm_end");
    this.#mapCount = kernel.reader("mm_struct", "map_count");
    this.#mm = kernel.reader("vm_area_struct", "vm_mm");
    // The list `mm->mmap` gave way to a maple tree in 6.1 (763ecb035029).
    this.#walk = kernel.types.has("mm_struct", "mm_mt") ? mapleWalk(kernel) : listWalk(kernel);
  }

  /**
   * All areas; walked anew while they do not ascend, are another process's, or are not as many
   * as `map_count` says.
   */
  areas(mm: GuestVirtual, budget: Budget): Areas {
    let best: readonly GuestVirtual[] = [];
    let fault: string | undefined;
    for (let attempt = 0; attempt < ATTEMPTS && !budget.exhausted; attempt++) {
      if (attempt > 0) this.#kernel.refresh();
      const vmas = this.#walk(mm, budget) ?? [];
      const sound = this.#ascending(mm, vmas);
      if (sound.length === vmas.length && vmas.length === this.#mapCount(mm)) {
        return { vmas, fault: undefined };
      }
      if (sound.length >= best.length) best = sound;
      fault = `of ${this.#mapCount(mm)} mappings at ${this.#kernel.format(mm)} ${best.length} could be read`;
    }
    return { vmas: best, fault: fault ?? "no time was left for its mappings" };
  }

  /** Those that belong to `mm` and begin where the one before has ended, or later. */
  #ascending(mm: GuestVirtual, vmas: readonly GuestVirtual[]): readonly GuestVirtual[] {
    let last = 0;
    return vmas.filter((vma) => {
      const start = this.start(vma);
      const end = this.end(vma);
      if (!(start >= last && end > start && this.#mm(vma) === mm)) return false;
      last = end;
      return true;
    });
  }
}

/** User addresses are at most 2^57 and page-aligned here: exact as numbers. */
function addressReader(kernel: Kernel, member: string): Reader {
  const offset = kernel.offset("vm_area_struct", member);
  return (vma) => kernel.space.count(vma + offset);
}

function mapleWalk(kernel: Kernel) {
  const trees = new MapleTrees(kernel);
  const tree = kernel.offset("mm_struct", "mm_mt");
  return (mm: GuestVirtual, budget: Budget) => trees.entries(mm + tree, budget);
}

function listWalk(kernel: Kernel) {
  const first = kernel.reader("mm_struct", "mmap");
  const next = kernel.reader("vm_area_struct", "vm_next");
  return (mm: GuestVirtual, budget: Budget) => {
    const found: GuestVirtual[] = [];
    let vma = first(mm);
    while (vma < 0 && budget.step()) {
      found.push(vma);
      vma = next(vma);
    }
    return vma === 0 ? found : undefined;
  };
}
