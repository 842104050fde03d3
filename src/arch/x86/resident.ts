import { PAGE_SIZE } from "../../base/address.ts";
import type { GuestPhysical } from "../../base/address.ts";
import type { Budget } from "../../base/budget.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import { entryFrame } from "./page-tables.ts";
import type { PageTables } from "./page-tables.ts";

const ENTRIES = 512;
const PRESENT = 1;
/** A page that PROT_NONE keeps away from its process, but not from memory (_PAGE_PROTNONE). */
const PROT_NONE = 1 << 8;
/** Belongs to nobody: the zero page, a device's (_PAGE_SPECIAL). */
const SPECIAL = 1 << 9;
const LARGE = 1 << 7;
const LARGEST_PAGE = 2 ** 30;

type Range = { readonly start: number; readonly end: number };

/**
 * Bytes of a range of user addresses that are in RAM now, as Rss of /proc/PID/smaps counts them
 * (arch/x86/include/asm/pgtable_types.h). Empty stretches are skipped at every level; NaN where
 * the budget ends before the range.
 */
export function residentBytes(
  memory: PhysicalMemory,
  tables: PageTables,
  range: Range,
  budget: Budget,
): number {
  const span = tables.levels === 5 ? 2 ** 48 : 2 ** 39;
  return countTable(memory, tables.root, span, 0, range, budget);
}

/** Of one table, each of whose entries covers `span` bytes from `base` on. */
function countTable(
  memory: PhysicalMemory,
  table: GuestPhysical,
  span: number,
  base: number,
  range: Range,
  budget: Budget,
): number {
  const first = Math.max(0, Math.floor((range.start - base) / span));
  const last = Math.min(ENTRIES - 1, Math.ceil((range.end - base) / span) - 1);
  let bytes = 0;
  for (let index = first; index <= last; index++) {
    if (!budget.step()) return Number.NaN;
    // Asked for each entry: what was below may have moved the window.
    const at = memory.offsetOf(table);
    if (at < 0) return bytes;
    const low = memory.u32[at / 4 + index * 2];
    const high = memory.u32[at / 4 + index * 2 + 1];
    const start = base + index * span;
    if (span === PAGE_SIZE) {
      if ((low & (PRESENT | PROT_NONE)) !== 0 && (low & SPECIAL) === 0) bytes += PAGE_SIZE;
    } else if ((low & LARGE) !== 0 && span <= LARGEST_PAGE) {
      if ((low & (PRESENT | PROT_NONE)) !== 0 && (low & SPECIAL) === 0) {
        bytes += Math.min(range.end, start + span) - Math.max(range.start, start);
      }
    } else if ((low & PRESENT) !== 0) {
      bytes += countTable(memory, entryFrame(low, high), span / ENTRIES, start, range, budget);
    }
  }
  return bytes;
}
