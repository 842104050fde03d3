/**
 * What a decoder may ask about types, whatever they were read from: the guest's own BTF
 * (btf.ts), or a Volatility symbol file (isf.ts). Types are small integers; 0 is `void` and at
 * the same time "no such type". Nothing here throws for a wrong id.
 */

/** BTF_KIND_* of include/uapi/linux/btf.h. */
export const BtfKind = {
  VOID: 0,
  INT: 1,
  PTR: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  FWD: 7,
  TYPEDEF: 8,
  VOLATILE: 9,
  CONST: 10,
  RESTRICT: 11,
  FUNC: 12,
  FUNC_PROTO: 13,
  VAR: 14,
  DATASEC: 15,
  FLOAT: 16,
  DECL_TAG: 17,
  TYPE_TAG: 18,
  ENUM64: 19,
} as const;

export type BtfKind = (typeof BtfKind)[keyof typeof BtfKind];

/** A member of a struct or union. */
export type BtfMember = {
  /** Empty for an anonymous struct or union. */
  readonly name: string;
  readonly typeId: number;
  /** From the start of the struct, in bits. */
  readonly bitOffset: number;
  /** Width of a bit-field in bits; 0 for every other member. */
  readonly bitSize: number;
};

export type BtfArray = { readonly elementType: number; readonly count: number };

export type BtfEnumerator = { readonly name: string; readonly value: bigint };

export type BtfInt = {
  readonly signed: boolean;
  readonly bool: boolean;
  readonly char: boolean;
  readonly bits: number;
  /** Bits between the start of its bytes and the value; 0 since bit-fields got offsets (5.0). */
  readonly bitOffset: number;
};

/** A parameter; the last one without name and type stands for `...`. */
export type BtfParam = { readonly name: string; readonly typeId: number };

export interface TypeSource {
  /** Where it comes from, for people. */
  readonly source: "btf" | "isf";
  /** The lowest id with that name and kind, or 0. */
  find(name: string, kind: BtfKind): number;
  /** `VOID` for 0 and for an id that does not exist. */
  kind(id: number): BtfKind;
  /** Empty for an anonymous type. */
  name(id: number): string;
  /** Bytes, through typedefs, qualifiers and arrays; NaN where it has none (void, functions). */
  size(id: number): number;
  /** The type below typedef, const, volatile, restrict and type tags; 0 if that ends nowhere. */
  strip(id: number): number;
  /** The type that a pointer, typedef, qualifier, function or variable refers to, else 0. */
  referenced(id: number): number;
  /** Of a struct or union, in declared order; empty for any other type. */
  members(id: number): readonly BtfMember[];
  /** Of an array type (after `strip`), else undefined. */
  array(id: number): BtfArray | undefined;
  /** Of an enum, in declared order; empty for any other type. */
  enumerators(id: number): readonly BtfEnumerator[];
  /** Of an integer type (after `strip`), else undefined. */
  int(id: number): BtfInt | undefined;
  /** Of a function's prototype; undefined where the source has no prototypes. */
  params(id: number): readonly BtfParam[] | undefined;
  /** Struct, union: bit-field sizes are given. Enum: signed. Fwd: a union. Tag: an attribute. */
  kindFlag(id: number): boolean;
}
