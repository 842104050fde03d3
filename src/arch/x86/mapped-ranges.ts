import type { GuestPhysical, GuestVirtual } from "../../base/address.ts";
import type { Budget } from "../../base/budget.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import type { AddressFolding } from "./address-folding.ts";
import { entryFrame, isEmptyTable } from "./page-tables.ts";
import type { PageTables } from "./page-tables.ts";

const PRESENT = 0x1;
const WRITABLE = 0x2;
const USER = 0x4;
const LARGE = 0x80;
const NO_EXECUTE = 0x8000_0000;
const ENTRIES = 512;
const KERNEL_HALF = 256;
const TWO_48 = 2 ** 48;

/** What may be done with a page, all levels of the tables taken together. */
type Rights = {
  readonly writable: boolean;
  readonly executable: boolean;
  /** Programs may reach it. */
  readonly user: boolean;
};

/** A mapped page of the kernel half. */
export type KernelPage = Rights & {
  readonly start: GuestVirtual;
  /** 4 KiB, 2 MiB or 1 GiB. */
  readonly size: number;
  readonly physical: GuestPhysical;
};

/** How far the tables could be followed. */
export type TableWalk = {
  /** The budget did not end before the tables did. */
  readonly ended: boolean;
  /** Tables that are not in memory; what they map was not seen. */
  readonly missing: number;
  /** Populated regions of a fifth level that are more than can be told apart, and were not seen. */
  readonly excess: number;
};

/** Hands every mapped page of the kernel half of an address space to `visit`, in ascending order. */
export function visitKernelPages(
  memory: PhysicalMemory,
  folding: AddressFolding,
  { root, levels }: Pick<PageTables, "root" | "levels">,
  budget: Budget,
  visit: (page: KernelPage) => void,
): TableWalk {
  const walk = new Walk(memory, budget, visit);
  if (memory.offsetOf(root) < 0) return { ended: true, missing: 1, excess: 0 };
  let excess = 0;
  for (let index = KERNEL_HALF; index < ENTRIES; index++) {
    if (levels === 4) walk.entry(root, index, -TWO_48 + index * 2 ** 39, 2 ** 39, ALL);
    else if (index === ENTRIES - 1 || isInUse(memory, root, index)) {
      // One that was populated since the kernel was understood may have no slot yet.
      if (index < ENTRIES - 1 && !folding.admit(index)) excess++;
      else walk.entry(root, index, regionStart(folding, index), TWO_48, ALL);
    }
  }
  return { ended: !budget.exhausted, missing: walk.missing, excess };
}

function regionStart(folding: AddressFolding, index: number): GuestVirtual {
  return folding.foldBig((0xfe00n << 48n) | (BigInt(index) << 48n));
}

/** `preallocate_vmalloc_pages` (arch/x86/mm/init_64.c) gives many regions empty tables. */
function isInUse(memory: PhysicalMemory, root: GuestPhysical, index: number): boolean {
  const at = memory.offsetOf(root);
  if (at < 0) return false;
  const low = memory.u32[at / 4 + index * 2]!;
  if ((low & PRESENT) === 0) return false;
  const table = entryFrame(low, memory.u32[at / 4 + index * 2 + 1]!);
  // One that is not in memory is told by the walk.
  return memory.offsetOf(table) < 0 || !isEmptyTable(memory, table);
}

const ALL: Rights = { writable: true, executable: true, user: true };

class Walk {
  readonly #memory: PhysicalMemory;
  readonly #budget: Budget;
  readonly #visit: (page: KernelPage) => void;
  missing = 0;

  constructor(memory: PhysicalMemory, budget: Budget, visit: (page: KernelPage) => void) {
    this.#memory = memory;
    this.#budget = budget;
    this.#visit = visit;
  }

  /** One entry of a table, which covers `span` bytes from `start` on. */
  entry(
    table: GuestPhysical,
    index: number,
    start: GuestVirtual,
    span: number,
    above: Rights,
  ): void {
    const at = this.#memory.offsetOf(table);
    if (at < 0) return;
    const word = at / 4 + index * 2;
    const low = this.#memory.u32[word];
    if ((low & PRESENT) === 0) return;
    const high = this.#memory.u32[word + 1];
    const frame = entryFrame(low, high);
    const rights = {
      writable: above.writable && (low & WRITABLE) !== 0,
      executable: above.executable && high < NO_EXECUTE,
      user: above.user && (low & USER) !== 0,
    };
    if (span === 4096 || ((low & LARGE) !== 0 && span <= 2 ** 30)) {
      this.#visit({ start, size: span, physical: frame - (frame % span), ...rights });
    } else {
      this.#table(frame, start, span / ENTRIES, rights);
    }
  }

  #table(table: GuestPhysical, start: GuestVirtual, span: number, rights: Rights): void {
    if (this.#memory.offsetOf(table) < 0) {
      this.missing++;
      return;
    }
    for (let index = 0; index < ENTRIES; index++) {
      if (!this.#budget.step()) return;
      this.entry(table, index, start + index * span, span, rights);
    }
  }
}
