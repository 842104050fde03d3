import { BtfKind } from "./type-source.ts";
import type { BtfMember, TypeSource } from "./type-source.ts";

/** Where a member lies. */
export type MemberPath = {
  /** Bytes from the start of the outermost struct; of a bit-field, the byte it starts in. */
  readonly offset: number;
  /** Of a bit-field, its first bit within that byte (0–7); 0 for every other member. */
  readonly bitOffset: number;
  /** Width of a bit-field in bits; 0 for every other member. */
  readonly bitSize: number;
  readonly typeId: number;
};

/** Anonymous structs nest 6 deep in today's kernels. */
const MAX_NESTING = 16;
/** Members looked at for one name, so that a forged type graph cannot keep us. */
const MAX_MEMBERS = 100_000;
const MAX_FLEXIBLE = 65_536;

type Found = { readonly bits: number; readonly member: BtfMember };

/**
 * Finds `path` (`"mm.pgd"`, `"comm"`, `"bands[1].head"`) in a struct or union, looking into
 * anonymous members as C does. Pointers are not followed. Undefined where a part is missing.
 */
export function memberPath(
  types: TypeSource,
  structId: number,
  path: string,
): MemberPath | undefined {
  let bits = 0;
  let bitSize = 0;
  let typeId = structId;
  for (const part of path.split(".")) {
    const [name, ...indexes] = part.split("[");
    const found = findMember(types, types.strip(typeId), name, { left: MAX_MEMBERS }, 0);
    if (found === undefined || bitSize !== 0) return undefined;
    bits += found.bits;
    ({ typeId, bitSize } = found.member);
    for (const text of indexes) {
      const array = types.array(typeId);
      const index = /^\d+\]$/.test(text) ? Number.parseInt(text, 10) : Number.NaN;
      // The declared count of a flexible array (0, of old 1) says nothing.
      const limit = array === undefined ? 0 : array.count > 1 ? array.count : MAX_FLEXIBLE;
      if (array === undefined || !(index < limit)) return undefined;
      bits += index * types.size(array.elementType) * 8;
      typeId = array.elementType;
    }
  }
  if (!Number.isSafeInteger(bits)) return undefined;
  const bitOffset = bitSize === 0 ? 0 : bits & 7;
  return { offset: (bits - (bits % 8)) / 8, bitOffset, bitSize, typeId };
}

/** `budget` is shared by the whole search. */
function findMember(
  types: TypeSource,
  structId: number,
  name: string,
  budget: { left: number },
  depth: number,
): Found | undefined {
  const members = types.members(structId);
  budget.left -= members.length;
  if (depth > MAX_NESTING || budget.left < 0 || name === "") return undefined;
  for (const member of members) {
    if (member.name === name) return { bits: member.bitOffset, member };
  }
  for (const member of members) {
    if (member.name !== "") continue;
    const inner = types.strip(member.typeId);
    const kind = types.kind(inner);
    if (kind !== BtfKind.STRUCT && kind !== BtfKind.UNION) continue;
    const found = findMember(types, inner, name, budget, depth + 1);
    if (found !== undefined) return { bits: member.bitOffset + found.bits, member: found.member };
  }
  return undefined;
}
