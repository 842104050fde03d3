import { SymbolTable } from "./symbol-table.ts";
import type { SymbolEntry } from "./symbol-table.ts";

/** A table of symbols that come in any order; those of one address keep theirs. */
export function symbolTableOf(entries: readonly SymbolEntry[]): SymbolTable {
  const sorted = entries.toSorted((a, b) => a.address - b.address);
  const nameOffsets = new Uint32Array(sorted.length + 1);
  for (const [i, { name }] of sorted.entries()) {
    nameOffsets[i + 1] = nameOffsets[i] + 1 + name.length;
  }
  return new SymbolTable({
    addresses: Float64Array.from(sorted, ({ address }) => address),
    names: Buffer.from(sorted.map(({ type, name }) => type.charAt(0) + name).join(""), "latin1"),
    nameOffsets,
  });
}
