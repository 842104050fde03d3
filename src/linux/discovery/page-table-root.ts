import type { AddressFolding } from "../../arch/x86/address-folding.ts";
import { entryFrame, isEmptyTable } from "../../arch/x86/page-tables.ts";
import type { PagingLevels } from "../../arch/x86/page-tables.ts";
import type { GuestPhysical, GuestVirtual } from "../../base/address.ts";
import { KvmsecError } from "../../base/errors.ts";
import type { SymbolTable } from "../../formats/symbol-table.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import type { KernelImage } from "./kernel-image.ts";

const PRESENT = 0x1;
const LAST = 511;
const FIRST_KERNEL = 256;

/**
 * The kernel's own root table, `init_top_pgt` (arch/x86/kernel/head_64.S), which the rest of the
 * kernel calls `swapper_pg_dir`. Its last entry leads to `level3_kernel_pgt` at once with 4-level
 * paging, or through `level4_kernel_pgt` with 5: that tells how many levels there are.
 * Admits the regions in use to `folding`. Throws KVMSEC_PAGE_TABLES_NOT_FOUND.
 */
export function findPageTables(
  memory: PhysicalMemory,
  image: KernelImage,
  symbols: SymbolTable,
  folding: AddressFolding,
): { root: GuestPhysical; levels: PagingLevels } {
  const address = symbols.address("init_top_pgt");
  const root = address - image.virtual + image.physical;
  const levels = pagingLevels(memory, root, image);
  if (levels === undefined) {
    throw new KvmsecError(
      "KVMSEC_PAGE_TABLES_NOT_FOUND",
      "The kernel's symbols were read, but init_top_pgt does not lead back to its image.",
      { hint: "The guest may be booting right now; try again in a second." },
    );
  }
  if (levels === 5) admitRegions(memory, image, symbols, root, folding);
  return { root, levels };
}

/** How many levels a root table has that leads to the image; undefined where it does not. */
export function pagingLevels(
  memory: PhysicalMemory,
  root: GuestPhysical,
  image: KernelImage,
): PagingLevels | undefined {
  const below = tableAt(memory, root, LAST);
  if (below === image.level3) return 4;
  return tableAt(memory, below, LAST) === image.level3 ? 5 : undefined;
}

/** The table that an entry names, or −1. */
function tableAt(memory: PhysicalMemory, table: GuestPhysical, index: number): GuestPhysical {
  const at = memory.offsetOf(table);
  if (at < 0) return -1;
  const word = at / 4 + index * 2;
  const low = memory.u32[word];
  return (low & PRESENT) === 0 ? -1 : entryFrame(low, memory.u32[word + 1]);
}

/**
 * The direct map, vmalloc and vmemmap come first, so that no planted entry can take their slots;
 * then every other populated region (`preallocate_vmalloc_pages` fills many with empty tables).
 */
function admitRegions(
  memory: PhysicalMemory,
  image: KernelImage,
  symbols: SymbolTable,
  root: GuestPhysical,
  folding: AddressFolding,
): void {
  for (const base of ["page_offset_base", "vmalloc_base", "vmemmap_base"]) {
    const index = regionOf(memory, image, symbols.address(base));
    if (index !== undefined) folding.admit(index);
  }
  for (let index = FIRST_KERNEL; index < LAST; index++) {
    const table = tableAt(memory, root, index);
    if (table >= 0 && !isEmptyTable(memory, table)) folding.admit(index);
  }
}

function regionOf(
  memory: PhysicalMemory,
  image: KernelImage,
  variable: GuestVirtual,
): number | undefined {
  const at = memory.offsetOf(variable - image.virtual + image.physical);
  if (at < 0 || at % 8 !== 0) return undefined;
  const index = (memory.u32[at / 4 + 1] >>> 16) & 0x1ff;
  return index >= FIRST_KERNEL && index < LAST ? index : undefined;
}
