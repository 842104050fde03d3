import { BtfKind } from "./type-source.ts";
import type { TypeSource } from "./type-source.ts";

const POINTER_SIZE = 8;

/** Structs in structs in …: real ones nest some 10 deep, forged ones must not take our stack. */
const MAX_DEPTH = 64;

/** Per source, so that a definition is looked at once; also ends cycles of forged types. */
const known = new WeakMap<TypeSource, Map<number, number>>();

/**
 * The alignment that C gives a type, in bytes; 1 for a packed struct and for what has no size.
 * Alignment that the source asked for (`__aligned`) is not in BTF and shows only in offsets.
 */
export function alignment(types: TypeSource, id: number, depth = 0): number {
  const stripped = types.strip(id);
  switch (types.kind(stripped)) {
    case BtfKind.INT:
    case BtfKind.ENUM:
    case BtfKind.ENUM64:
    case BtfKind.FLOAT:
      return Math.min(POINTER_SIZE, types.size(stripped));
    case BtfKind.PTR:
      return POINTER_SIZE;
    case BtfKind.ARRAY:
    case BtfKind.STRUCT:
    case BtfKind.UNION:
      return depth > MAX_DEPTH ? 1 : remembered(types, stripped, depth);
    default:
      return 1;
  }
}

function remembered(types: TypeSource, id: number, depth: number): number {
  let alignments = known.get(types);
  if (alignments === undefined) known.set(types, (alignments = new Map()));
  const before = alignments.get(id);
  if (before !== undefined) return before;
  alignments.set(id, 1);
  const array = types.array(id);
  const found =
    array === undefined
      ? ofMembers(types, id, depth)
      : alignment(types, array.elementType, depth + 1);
  alignments.set(id, found);
  return found;
}

function ofMembers(types: TypeSource, id: number, depth: number): number {
  let most = 1;
  for (const { typeId, bitOffset, bitSize } of types.members(id)) {
    const aligned = alignment(types, typeId, depth + 1);
    if (bitSize === 0 && bitOffset % (aligned * 8) !== 0) return 1;
    most = Math.max(most, aligned);
  }
  return types.size(id) % most === 0 ? most : 1;
}

/** A struct or union whose members or size do not lie as C would lay them out. */
export function isPacked(types: TypeSource, id: number): boolean {
  let most = 1;
  for (const { typeId, bitOffset, bitSize } of types.members(id)) {
    const aligned = alignment(types, typeId);
    if (bitSize === 0 && bitOffset % (aligned * 8) !== 0) return true;
    most = Math.max(most, aligned);
  }
  return types.size(id) % most !== 0;
}
