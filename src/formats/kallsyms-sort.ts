import type { DecodedNames } from "./kallsyms-decode.ts";
import { SymbolTable } from "./symbol-table.ts";

/**
 * Brings symbols into ascending order of signed addresses. The kernel sorts them as unsigned, so
 * per-CPU offsets come first there and have to go behind; anything else is out of order only
 * where somebody has written into the table.
 */
export function sortedSymbols(addresses: Float64Array, decoded: DecodedNames): SymbolTable {
  const pieces = ascendingRuns(addresses);
  if (pieces.length === 1) return new SymbolTable({ addresses, ...decoded });
  const order = isRotation(addresses, pieces) ? [pieces[1], pieces[0]] : singles(addresses);
  return reorder(addresses, decoded, order);
}

type Run = { readonly first: number; readonly end: number };

function ascendingRuns(addresses: Float64Array): Run[] {
  const runs: Run[] = [];
  let first = 0;
  for (let i = 1; i <= addresses.length; i++) {
    if (i < addresses.length && addresses[i] >= addresses[i - 1]) continue;
    runs.push({ first, end: i });
    first = i;
  }
  return runs;
}

function isRotation(addresses: Float64Array, runs: readonly Run[]): boolean {
  return runs.length === 2 && addresses[runs[1].end - 1] <= addresses[0];
}

function singles(addresses: Float64Array): Run[] {
  const indices = new Uint32Array(addresses.length).map((_, i) => i);
  indices.sort((a, b) => addresses[a] - addresses[b] || a - b);
  return Array.from(indices, (first) => ({ first, end: first + 1 }));
}

function reorder(from: Float64Array, decoded: DecodedNames, order: readonly Run[]): SymbolTable {
  const addresses = new Float64Array(from.length);
  const names = new Uint8Array(decoded.names.length);
  const nameOffsets = new Uint32Array(from.length + 1);
  let to = 0;
  let nameTo = 0;
  for (const { first, end } of order) {
    const nameFrom = decoded.nameOffsets[first];
    addresses.set(from.subarray(first, end), to);
    names.set(decoded.names.subarray(nameFrom, decoded.nameOffsets[end]), nameTo);
    for (let i = first; i < end; i++) {
      nameOffsets[to++] = decoded.nameOffsets[i] - nameFrom + nameTo;
    }
    nameTo += decoded.nameOffsets[end] - nameFrom;
  }
  nameOffsets[to] = nameTo;
  return new SymbolTable({ addresses, names, nameOffsets });
}
