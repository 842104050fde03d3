import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { physicalSize } from "../memory/physical-memory.ts";
import { CircleWatch } from "./circle-watch.ts";
import type { Kernel } from "./kernel.ts";
import { MapleTrees } from "./maple-tree.ts";
import type { Reader } from "./member-reader.ts";

const KERNEL_HALF = 2 ** 63;
/** A maple tree's leaf holds 16 slots, half of them gaps at most in the mean; nodes above are few. */
const STEPS_AN_AREA = 32;
const FIRST_STEPS = 256;

/** Finds the `vm_area_struct`s of an `mm_struct`, in order of address. */
export class VmaLists {
  readonly start: Reader;
  readonly end: Reader;
  readonly #most: number;
  readonly #mapCount: Reader;
  readonly #mm: Reader;
  readonly #walk: (mm: GuestVirtual, budget: Budget) => GuestVirtual[] | undefined;

  constructor(kernel: Kernel) {
    this.start = addressReader(kernel, "vm_start");
    this.end = addressReader(kernel, "vm_end");
    this.#most = physicalSize(kernel.memory) / kernel.types.size("vm_area_struct");
    this.#mapCount = kernel.reader("mm_struct", "map_count");
    this.#mm = kernel.reader("vm_area_struct", "vm_mm");
    // The list `mm->mmap` gave way to a maple tree in 6.1 (763ecb035029).
    this.#walk = kernel.types.has("mm_struct", "mm_mt") ? mapleWalk(kernel) : listWalk(kernel);
  }

  /** How many there are by the process's own account. */
  count(mm: GuestVirtual): number {
    return this.#mapCount(mm);
  }

  /**
   * All areas; empty where the tree or list was being changed: then try again. What a tree of
   * `map_count` areas cannot cost is not spent on one, and no more than memory has room for.
   */
  areas(mm: GuestVirtual, budget: Budget): readonly GuestVirtual[] {
    const count = Math.min(this.count(mm), this.#most);
    if (!(count >= 0)) return [];
    return this.#walk(mm, budget.part(FIRST_STEPS + count * STEPS_AN_AREA)) ?? [];
  }

  /** Whether an area belongs to `mm`: a freed one is another's or nobody's. */
  belongs(vma: GuestVirtual, mm: GuestVirtual): boolean {
    return this.#mm(vma) === mm;
  }
}

/** Page-aligned, so exact as a number: a user address up to 2^57, or the kernel's (of vsyscall). */
function addressReader(kernel: Kernel, member: string): Reader {
  const { space } = kernel;
  const offset = kernel.offset("vm_area_struct", member);
  return (vma) => {
    const address = space.count(vma + offset);
    return address < KERNEL_HALF ? address : space.pointer(vma + offset);
  };
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
    const watch = new CircleWatch();
    let vma = first(mm);
    while (vma < 0 && budget.step() && !watch.isBack(vma)) {
      found.push(vma);
      vma = next(vma);
    }
    return vma === 0 ? found : undefined;
  };
}
