import { PAGE_SIZE } from "../../base/address.ts";
import type { GuestPhysical } from "../../base/address.ts";
import type { Budget } from "../../base/budget.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import { entryFrame } from "./page-tables.ts";
import type { PageTables } from "./page-tables.ts";

const ENTRIES = 512;
const PRESENT = 1;
const LARGE = 1 << 7;
/** Belongs to nobody: the zero page, a device's (_PAGE_SPECIAL). */
const SPECIAL = 1 << 9;
const LARGEST_PAGE = 2 ** 30;

type Range = { readonly start: number; readonly end: number };

/** Told the user address of a page, where it lies, and how many bytes of it are in the range. */
export type PageVisit = (address: number, physical: GuestPhysical, size: number) => void;

/**
 * Visits the pages of a range of user addresses that are mapped now, by rising address; large
 * pages in one. False where the budget ends first or a table lies outside of memory.
 */
export function eachPresentPage(
  memory: PhysicalMemory,
  tables: PageTables,
  range: Range,
  budget: Budget,
  visit: PageVisit,
): boolean {
  const span = tables.levels === 5 ? 2 ** 48 : 2 ** 39;
  return walkTable({ memory, range, budget, visit }, tables.root, span, 0);
}

type Walk = {
  readonly memory: PhysicalMemory;
  readonly range: Range;
  readonly budget: Budget;
  readonly visit: PageVisit;
};

/** Of one table, each of whose entries covers `span` bytes from `base` on. */
function walkTable(walk: Walk, table: GuestPhysical, span: number, base: number): boolean {
  const { memory, range } = walk;
  const first = Math.max(0, Math.floor((range.start - base) / span));
  const last = Math.min(ENTRIES - 1, Math.ceil((range.end - base) / span) - 1);
  for (let index = first; index <= last; index++) {
    if (!walk.budget.step()) return false;
    // Asked for each entry: what was below may have moved the window.
    const at = memory.offsetOf(table);
    if (at < 0) return false;
    const low = memory.u32[at / 4 + index * 2]!;
    if ((low & PRESENT) === 0) continue;
    const frame = entryFrame(low, memory.u32[at / 4 + index * 2 + 1]!);
    const start = base + index * span;
    if (span === PAGE_SIZE) {
      if ((low & SPECIAL) === 0) walk.visit(start, frame, PAGE_SIZE);
    } else if ((low & LARGE) !== 0 && span <= LARGEST_PAGE) {
      visitLarge(walk, start, frame - (frame % span), span);
    } else if (!walkTable(walk, frame, span / ENTRIES, start)) return false;
  }
  return true;
}

function visitLarge({ range, visit }: Walk, start: number, frame: GuestPhysical, span: number) {
  const from = Math.max(range.start, start);
  const to = Math.min(range.end, start + span);
  visit(from, frame + (from - start), to - from);
}
