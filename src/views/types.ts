import { usageError } from "../base/errors.ts";
import { declare } from "../formats/btf-declare.ts";
import type { Btf } from "../formats/btf.ts";
import { BtfKind } from "../formats/type-source.ts";
import type { BtfMember, TypeSource } from "../formats/type-source.ts";

/** Kinds that a C declaration can name, and the word that stands before the name. */
const NAMED_KINDS: readonly (readonly [kind: BtfKind, word: string])[] = [
  [BtfKind.STRUCT, "struct"],
  [BtfKind.UNION, "union"],
  [BtfKind.ENUM, "enum"],
  [BtfKind.ENUM64, "enum"],
  [BtfKind.TYPEDEF, "typedef"],
  [BtfKind.FUNC, "func"],
  [BtfKind.VAR, "var"],
  [BtfKind.INT, "int"],
  [BtfKind.FLOAT, "float"],
];
const WORDS: ReadonlyMap<BtfKind, string> = new Map(NAMED_KINDS);

const LISTED = new Set(["struct", "union", "enum", "typedef"]);

/** A type for programs: offsets and sizes in bytes, bit-fields in bits. */
export type TypeJson = {
  readonly id: number;
  readonly kind: string;
  readonly name: string;
  readonly size: number | null;
  readonly members?: readonly object[];
  readonly enumerators?: readonly { readonly name: string; readonly value: number | string }[];
};

/** Ids of all named structs, unions, enums and typedefs; of a module its own. */
export function namedTypes(btf: Btf): number[] {
  const ids: number[] = [];
  for (let id = btf.firstId; id < btf.typeCount; id++) {
    if (btf.name(id) !== "" && LISTED.has(kindWord(btf, id))) ids.push(id);
  }
  return ids;
}

/** `struct`, `union`, `enum`, `typedef`, `func`, `var`, `int`, `float`, `other`. */
export function kindWord(types: TypeSource, id: number): string {
  return WORDS.get(types.kind(id)) ?? "other";
}

/**
 * Ids of the types with these names, every kind of each: `task_struct`, `struct task_struct`,
 * `func schedule`. Throws KVMSEC_TYPE_MISSING (usage).
 */
export function findTypes(types: TypeSource, names: readonly string[]): number[] {
  return names.flatMap((text) => {
    const [, word, name] =
      /^(?:(struct|union|enum|typedef|func|var|int|float)\s+)?(.+)$/s.exec(text) ?? [];
    const ids = NAMED_KINDS.filter((kind) => word === undefined || kind[1] === word)
      .map(([kind]) => types.find(name ?? text, kind))
      .filter((id) => id !== 0);
    if (ids.length > 0) return ids;
    throw usageError(
      "KVMSEC_TYPE_MISSING",
      `The guest's kernel has no type ${text}.`,
      "kvmsec types TARGET lists all names; --module NAME adds those of a module.",
    );
  });
}

/** One type as JSON, with what it consists of where `whole`. */
export function typeJson(types: TypeSource, id: number, whole: boolean): TypeJson {
  const size = types.size(id);
  return {
    id,
    kind: kindWord(types, id),
    name: types.name(id),
    size: size > 0 ? size : null,
    ...(whole ? contents(types, id) : {}),
  };
}

function contents(types: TypeSource, id: number): Pick<TypeJson, "members" | "enumerators"> {
  switch (types.kind(id)) {
    case BtfKind.STRUCT:
    case BtfKind.UNION:
      return { members: types.members(id).map((member) => memberJson(types, member)) };
    case BtfKind.ENUM:
    case BtfKind.ENUM64:
      return {
        enumerators: types.enumerators(id).map(({ name, value }) => {
          const small = Number(value);
          return { name, value: Number.isSafeInteger(small) ? small : value.toString() };
        }),
      };
    default:
      return {};
  }
}

function memberJson(types: TypeSource, { name, typeId, bitOffset, bitSize }: BtfMember): object {
  return {
    name,
    type: declare(types, typeId, ""),
    offset: Math.floor(bitOffset / 8),
    ...(bitSize === 0 ? {} : { bitOffset: bitOffset % 8, bitSize }),
  };
}
