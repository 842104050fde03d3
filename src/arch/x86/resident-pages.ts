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
const LARGE = 1 << 7;
const LARGEST_PAGE = 2 ** 30;

/** A page of a process that is in memory, or the part of a large one that was asked for. */
export type ResidentPage = {
  readonly at: number;
  readonly length: number;
  readonly physical: GuestPhysical;
};

/**
 * The pages of a range of user addresses that are in memory now, in ascending order
 * (arch/x86/include/asm/pgtable_types.h). Empty stretches are skipped at every level. Ends early
 * where the budget does.
 */
export function* residentPages(
  memory: PhysicalMemory,
  tables: PageTables,
  range: { readonly start: number; readonly end: number },
  budget: Budget,
): Generator<ResidentPage> {
  const span = tables.levels === 5 ? 2 ** 48 : 2 ** 39;
  yield* ofTable(memory, tables.root, span, 0, range, budget);
}

function* ofTable(
  memory: PhysicalMemory,
  table: GuestPhysical,
  span: number,
  base: number,
  range: { readonly start: number; readonly end: number },
  budget: Budget,
): Generator<ResidentPage> {
  const first = Math.max(0, Math.floor((range.start - base) / span));
  const last = Math.min(ENTRIES - 1, Math.ceil((range.end - base) / span) - 1);
  for (let index = first; index <= last; index++) {
    if (!budget.step()) return;
    // Asked for each entry: what was done with the last page may have moved the window.
    const at = memory.offsetOf(table);
    if (at < 0) return;
    const low = memory.u32[at / 4 + index * 2]!;
    const high = memory.u32[at / 4 + index * 2 + 1]!;
    const start = base + index * span;
    const isLarge = (low & LARGE) !== 0 && span <= LARGEST_PAGE;
    if (span === PAGE_SIZE || isLarge) {
      if ((low & (PRESENT | PROT_NONE)) === 0) continue;
      const frame = entryFrame(low, high);
      const from = Math.max(range.start, start);
      const length = Math.min(range.end, start + span) - from;
      yield { at: from, length, physical: frame - (frame % span) + (from - start) };
    } else if ((low & PRESENT) !== 0) {
      yield* ofTable(memory, entryFrame(low, high), span / ENTRIES, start, range, budget);
    }
  }
}
