import { count, integer, isObject, member, readIsf } from "./isf-json.ts";
import type { IsfDocument, IsfObject } from "./isf-json.ts";
import { symbolTableOf } from "./symbol-list.ts";
import type { SymbolTable } from "./symbol-table.ts";
import { BtfKind } from "./type-source.ts";
import type { BtfArray, BtfEnumerator, BtfInt, BtfMember } from "./type-source.ts";
import type { TypeSource } from "./type-source.ts";

/** A type that was met: what kind it is, how it is called, and what the file says of it. */
type Node = {
  readonly kind: BtfKind;
  readonly name: string;
  readonly definition: IsfObject;
};

type Group = "userTypes" | "enums" | "baseTypes";

const GROUP_OF_KIND: ReadonlyMap<BtfKind, Group> = new Map([
  [BtfKind.STRUCT, "userTypes"],
  [BtfKind.UNION, "userTypes"],
  [BtfKind.ENUM, "enums"],
  [BtfKind.ENUM64, "enums"],
  [BtfKind.INT, "baseTypes"],
  [BtfKind.FLOAT, "baseTypes"],
]);

const POINTER_SIZE = 8;
const MAX_DEPTH = 32;
const VOID: Node = { kind: BtfKind.VOID, name: "", definition: {} };
/** dwarf2json calls what has no name by a hash of its definition. */
const UNNAMED = /^unnamed_[0-9a-f]+$/;

/** Reads an ISF file (JSON, decompressed). */
export function parseIsf(
  bytes: Uint8Array,
): { ok: true; isf: Isf } | { ok: false; reason: string } {
  const document = readIsf(bytes);
  return typeof document === "string"
    ? { ok: false, reason: document }
    : { ok: true, isf: new Isf(document) };
}

/**
 * The types of an ISF file. They have no numbers there, so ids are given in the order in which
 * types are asked for. Typedefs, qualifiers and prototypes are not in such files.
 */
export class Isf implements TypeSource {
  readonly source = "isf";
  readonly #document: IsfDocument;
  readonly #nodes: Node[] = [VOID];
  readonly #named = new Map<string, number>();
  readonly #described = new Map<IsfObject, number>();
  readonly #members = new Map<number, readonly BtfMember[]>();
  #symbols: SymbolTable | undefined;

  constructor(document: IsfDocument) {
    this.#document = document;
  }

  find(name: string, kind: BtfKind): number {
    const group = GROUP_OF_KIND.get(kind);
    if (group === undefined || member(this.#document[group], name) === undefined) return 0;
    const id = this.#define(group, name);
    return this.kind(id) === kind ? id : 0;
  }

  kind(id: number): BtfKind {
    return this.#node(id).kind;
  }

  name(id: number): string {
    const { name } = this.#node(id);
    return UNNAMED.test(name) ? "" : name;
  }

  size(id: number): number {
    let factor = 1;
    for (let depth = 0; depth < MAX_DEPTH; depth++) {
      const { kind, definition } = this.#node(id);
      if (kind === BtfKind.PTR) return factor * POINTER_SIZE;
      if (kind !== BtfKind.ARRAY) {
        return kind === BtfKind.VOID ? Number.NaN : factor * count(definition["size"]);
      }
      factor *= count(definition["count"]);
      id = this.#describe(definition["subtype"]);
    }
    return Number.NaN;
  }

  strip(id: number): number {
    return id in this.#nodes ? id : 0;
  }

  referenced(id: number): number {
    const { kind, definition } = this.#node(id);
    return kind === BtfKind.PTR ? this.#describe(definition["subtype"]) : 0;
  }

  members(id: number): readonly BtfMember[] {
    const known = this.#members.get(id);
    if (known !== undefined) return known;
    const { kind, definition } = this.#node(id);
    if (kind !== BtfKind.STRUCT && kind !== BtfKind.UNION) return [];
    const members = Object.entries(member(definition, "fields") ?? {})
      .flatMap(([name, field]) => this.#member(name, field))
      .toSorted((a, b) => a.bitOffset - b.bitOffset);
    this.#members.set(id, members);
    return members;
  }

  array(id: number): BtfArray | undefined {
    const { kind, definition } = this.#node(id);
    if (kind !== BtfKind.ARRAY) return undefined;
    return {
      elementType: this.#describe(definition["subtype"]),
      count: count(definition["count"]) || 0,
    };
  }

  enumerators(id: number): readonly BtfEnumerator[] {
    const { kind, definition } = this.#node(id);
    if (kind !== BtfKind.ENUM && kind !== BtfKind.ENUM64) return [];
    const constants = Object.entries(member(definition, "constants") ?? {});
    return constants
      .map(([name, value]) => ({ name, value: integer(value) }))
      .toSorted((a, b) => (a.value < b.value ? -1 : Number(a.value > b.value)));
  }

  int(id: number): BtfInt | undefined {
    const { kind, definition } = this.#node(id);
    if (kind !== BtfKind.INT) return undefined;
    const bool = definition["kind"] === "bool";
    return {
      // dwarf2json calls even a bool signed.
      signed: definition["signed"] === true && !bool,
      bool,
      char: definition["kind"] === "char",
      bits: count(definition["size"]) * 8,
      bitOffset: 0,
    };
  }

  params(): undefined {
    return undefined;
  }

  /** Of an enum: it has a negative value. Of a forward declaration: it is a union. */
  kindFlag(id: number): boolean {
    const { kind, definition } = this.#node(id);
    if (kind === BtfKind.FWD) return definition["kind"] === "union";
    return this.enumerators(id).some(({ value }) => value < 0n);
  }

  /** The type of a variable; 0 where the file does not tell it. */
  symbolType(name: string): number {
    return this.#describe(member(this.#document.symbols, name)?.["type"]);
  }

  /** The kernel that the file was made of, as its own `linux_banner` says it. */
  get banner(): string | undefined {
    const data = member(this.#document.symbols, "linux_banner")?.["constant_data"];
    if (typeof data !== "string") return undefined;
    return Buffer.from(data, "base64").toString("latin1").replace(/\0.*$/s, "").trimEnd();
  }

  /** Symbols at their link addresses; their types are not told (`?`). */
  get symbols(): SymbolTable {
    return (this.#symbols ??= symbolTableOf(
      Object.entries(this.#document.symbols).flatMap(([name, symbol]) => {
        const address = isObject(symbol) ? integer(symbol["address"]) : 0n;
        return address === 0n
          ? []
          : [{ name, type: "?", address: Number(BigInt.asIntN(64, address)) }];
      }),
    ));
  }

  #node(id: number): Node {
    return this.#nodes[id] ?? VOID;
  }

  /** Id of a type with a name. What the file only refers to is a forward declaration. */
  #define(group: Group, name: string, reference: IsfObject = {}): number {
    const key = `${group} ${name}`;
    const known = this.#named.get(key);
    if (known !== undefined) return known;
    const definition = member(this.#document[group], name);
    const kind = definition === undefined ? BtfKind.FWD : kindOf(group, definition);
    const id = kind === BtfKind.VOID ? 0 : this.#add(kind, name, definition ?? reference);
    this.#named.set(key, id);
    return id;
  }

  #add(kind: BtfKind, name: string, definition: IsfObject): number {
    return this.#nodes.push({ kind, name, definition }) - 1;
  }

  /** Id of what a descriptor describes; 0 for void and for anything that is none. */
  #describe(descriptor: unknown): number {
    if (!isObject(descriptor)) return 0;
    const known = this.#described.get(descriptor);
    if (known !== undefined) return known;
    const id = this.#newlyDescribed(descriptor);
    this.#described.set(descriptor, id);
    return id;
  }

  #newlyDescribed(descriptor: IsfObject): number {
    const name = typeof descriptor["name"] === "string" ? descriptor["name"] : "";
    switch (descriptor["kind"]) {
      case "pointer":
        return this.#add(BtfKind.PTR, "", descriptor);
      case "array":
        return this.#add(BtfKind.ARRAY, "", descriptor);
      case "function":
        return this.#add(BtfKind.FUNC_PROTO, "", descriptor);
      case "struct":
      case "union":
      case "class":
        return this.#define("userTypes", name, descriptor);
      case "enum":
        return this.#define("enums", name, descriptor);
      case "base":
        return member(this.#document.baseTypes, name) === undefined
          ? 0
          : this.#define("baseTypes", name);
      default:
        return 0;
    }
  }

  #member(name: string, field: unknown): BtfMember[] {
    if (!isObject(field)) return [];
    const offset = count(field["offset"]) * 8;
    const type = member(field, "type") ?? {};
    const isBitField = type["kind"] === "bitfield";
    const bitOffset = offset + (isBitField ? count(type["bit_position"]) : 0);
    const bitSize = isBitField ? count(type["bit_length"]) : 0;
    const typeId = this.#describe(isBitField ? type["type"] : type);
    if (Number.isNaN(bitOffset + bitSize) || (typeId === 0 && type["kind"] !== "base")) return [];
    return [{ name: field["anonymous"] === true ? "" : name, typeId, bitOffset, bitSize }];
  }
}

function kindOf(group: Group, definition: IsfObject): BtfKind {
  switch (group) {
    case "userTypes":
      return definition["kind"] === "union" ? BtfKind.UNION : BtfKind.STRUCT;
    case "enums":
      return definition["size"] === POINTER_SIZE ? BtfKind.ENUM64 : BtfKind.ENUM;
    case "baseTypes":
      if (definition["kind"] === "void") return BtfKind.VOID;
      return definition["kind"] === "float" ? BtfKind.FLOAT : BtfKind.INT;
  }
}
