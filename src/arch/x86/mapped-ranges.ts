import type { GuestPhysical, GuestVirtual } from "../../base/address.ts";
import type { Budget } from "../../base/budget.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import type { AddressFolding } from "./address-folding.ts";
import { entryFrame } from "./page-tables.ts";
import type { PageTables } from "./page-tables.ts";

const PRESENT = 0x1;
const WRITABLE = 0x2;
const USER = 0x4;
const LARGE = 0x80;
const NO_EXECUTE = 0x8000_0000;
const ENTRIES = 512;
const KERNEL_HALF = 256;
const TWO_48 = 2 ** 48;

/** A mapped page of the kernel half and its rights, all levels taken together. */
export type LeafVisitor = (
  start: GuestVirtual,
  size: number,
  physical: GuestPhysical,
  writable: boolean,
  executable: boolean,
  user: boolean,
) => void;

/**
 * Hands every mapped page of the kernel half of an address space to `visit`, in ascending order.
 * Returns false where the budget ended before the tables did.
 */
export function visitKernelPages(
  memory: PhysicalMemory,
  folding: AddressFolding,
  tables: PageTables,
  budget: Budget,
  visit: LeafVisitor,
): boolean {
  const walk = new Walk(memory, budget, visit);
  for (let index = KERNEL_HALF; index < ENTRIES; index++) {
    if (tables.levels === 4) {
      walk.entry(tables.root, index, -TWO_48 + index * 2 ** 39, 2 ** 39, true, true, true);
    } else {
      const start = folding.foldBig((0xfe00n << 48n) | (BigInt(index) << 48n));
      // A region without a slot is empty, see findPageTables.
      if (start === start) walk.entry(tables.root, index, start, TWO_48, true, true, true);
    }
  }
  return !budget.exhausted;
}

class Walk {
  readonly #memory: PhysicalMemory;
  readonly #budget: Budget;
  readonly #visit: LeafVisitor;

  constructor(memory: PhysicalMemory, budget: Budget, visit: LeafVisitor) {
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
    writable: boolean,
    executable: boolean,
    user: boolean,
  ): void {
    const at = this.#memory.offsetOf(table);
    if (at < 0) return;
    const word = at / 4 + index * 2;
    const low = this.#memory.u32[word];
    if ((low & PRESENT) === 0) return;
    const high = this.#memory.u32[word + 1];
    const frame = entryFrame(low, high);
    const mayWrite = writable && (low & WRITABLE) !== 0;
    const mayExecute = executable && high < NO_EXECUTE;
    const mayUse = user && (low & USER) !== 0;
    if (span === 4096 || ((low & LARGE) !== 0 && span <= 2 ** 30)) {
      this.#visit(start, span, frame - (frame % span), mayWrite, mayExecute, mayUse);
    } else {
      this.#table(frame, start, span / ENTRIES, mayWrite, mayExecute, mayUse);
    }
  }

  #table(
    table: GuestPhysical,
    start: GuestVirtual,
    span: number,
    writable: boolean,
    executable: boolean,
    user: boolean,
  ): void {
    for (let index = 0; index < ENTRIES; index++) {
      if (!this.#budget.step()) return;
      this.entry(table, index, start + index * span, span, writable, executable, user);
    }
  }
}
