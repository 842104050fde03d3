import { indexBtf } from "./btf-index.ts";
import type { BtfIndex } from "./btf-index.ts";
import { BtfNames, BtfStrings } from "./btf-names.ts";
import { BtfKind } from "./type-source.ts";
import type { BtfArray, BtfEnumerator, BtfInt, BtfMember } from "./type-source.ts";
import type { BtfParam, TypeSource } from "./type-source.ts";

export { readBtfHeader } from "./btf-index.ts";
export type { BtfHeader } from "./btf-index.ts";
export { memberPath } from "./member-path.ts";
export type { MemberPath } from "./member-path.ts";
export { BtfKind } from "./type-source.ts";
export type { BtfArray, BtfEnumerator, BtfInt, BtfMember } from "./type-source.ts";
export type { BtfParam, TypeSource } from "./type-source.ts";

/** Longest chain of modifiers that is followed; the kernel's MAX_RESOLVE_DEPTH. */
const MAX_DEPTH = 32;
const POINTER_SIZE = 8;
/** Elements of one type that are decoded at most; the longest DATASECs and enums have thousands. */
const MAX_ELEMENTS = 1 << 18;

export type BtfVar = { readonly typeId: number; readonly linkage: number };
export type BtfSectionVar = {
  /** Id of a VAR. */
  readonly typeId: number;
  readonly offset: number;
  readonly size: number;
};

/**
 * Indexes BTF (about 4 ms for the 5 MB of a vmlinux); everything else is decoded when asked for.
 * `bytes` are copied, so they may be a view of a running guest; bytes after the last section are
 * ignored. With `base`, `bytes` are split BTF: a module's (its ids and string offsets go on where
 * the base's end).
 */
export function parseBtf(
  bytes: Uint8Array,
  base?: Btf,
): { ok: true; btf: Btf } | { ok: false; reason: string } {
  const index = indexBtf(bytes, base !== undefined);
  if (typeof index === "string") return { ok: false, reason: index };
  return { ok: true, btf: new Btf(index, base) };
}

/** The types of a kernel, or of one of its modules on top of the kernel's. */
export class Btf implements TypeSource {
  readonly source = "btf";
  readonly base: Btf | undefined;
  /** Ids run from 0 (void) to `typeCount - 1`, the base's included. */
  readonly typeCount: number;
  /** The first id that is not the base's. */
  readonly firstId: number;
  readonly strings: BtfStrings;
  /** The records themselves, for who goes through all of them. */
  readonly index: BtfIndex;
  readonly #u32: Uint32Array;
  readonly #names: BtfNames;
  readonly #members = new Map<number, readonly BtfMember[]>();

  constructor(index: BtfIndex, base?: Btf) {
    this.base = base;
    this.firstId = base === undefined ? 1 : base.typeCount;
    this.typeCount = this.firstId + index.words.length;
    this.strings = new BtfStrings(index, base?.strings);
    this.index = index;
    this.#u32 = index.u32;
    this.#names = new BtfNames(index, this.strings);
  }

  find(name: string, kind: BtfKind): number {
    const inBase = this.base === undefined ? 0 : this.base.find(name, kind);
    if (inBase !== 0) return inBase;
    const number = this.#names.find(name, kind);
    return number < 0 ? 0 : this.firstId + number;
  }

  kind(id: number): BtfKind {
    if (this.base !== undefined && id < this.firstId) return this.base.kind(id);
    const at = this.#word(id);
    return at < 0 ? BtfKind.VOID : (((this.#u32[at + 1] >>> 24) & 0x7f) as BtfKind);
  }

  name(id: number): string {
    if (this.base !== undefined && id < this.firstId) return this.base.name(id);
    const at = this.#word(id);
    return at < 0 ? "" : this.strings.text(this.#u32[at]);
  }

  /**
   * Number of elements that follow the record: members, enumerators, parameters; of a function
   * its linkage (0 static, 1 global, 2 extern).
   */
  vlen(id: number): number {
    if (this.base !== undefined && id < this.firstId) return this.base.vlen(id);
    const at = this.#word(id);
    return at < 0 ? 0 : this.#u32[at + 1] & 0xffffff;
  }

  kindFlag(id: number): boolean {
    if (this.base !== undefined && id < this.firstId) return this.base.kindFlag(id);
    const at = this.#word(id);
    return at >= 0 && this.#u32[at + 1] >>> 31 === 1;
  }

  size(id: number): number {
    let count = 1;
    for (let depth = 0; depth < MAX_DEPTH; depth++) {
      switch (this.kind(id)) {
        case BtfKind.INT:
        case BtfKind.STRUCT:
        case BtfKind.UNION:
        case BtfKind.ENUM:
        case BtfKind.ENUM64:
        case BtfKind.FLOAT:
        case BtfKind.DATASEC:
          return count * this.#sizeOrType(id);
        case BtfKind.PTR:
          return count * POINTER_SIZE;
        case BtfKind.ARRAY: {
          const array = this.#arrayAt(id);
          count *= array.count;
          id = array.elementType;
          break;
        }
        case BtfKind.TYPEDEF:
        case BtfKind.VOLATILE:
        case BtfKind.CONST:
        case BtfKind.RESTRICT:
        case BtfKind.TYPE_TAG:
        case BtfKind.VAR:
          id = this.#sizeOrType(id);
          break;
        default:
          return Number.NaN;
      }
    }
    return Number.NaN;
  }

  strip(id: number): number {
    for (let depth = 0; depth < MAX_DEPTH; depth++) {
      switch (this.kind(id)) {
        case BtfKind.TYPEDEF:
        case BtfKind.VOLATILE:
        case BtfKind.CONST:
        case BtfKind.RESTRICT:
        case BtfKind.TYPE_TAG:
          id = this.#sizeOrType(id);
          break;
        default:
          return id < this.typeCount ? id : 0;
      }
    }
    return 0;
  }

  referenced(id: number): number {
    switch (this.kind(id)) {
      case BtfKind.PTR:
      case BtfKind.TYPEDEF:
      case BtfKind.VOLATILE:
      case BtfKind.CONST:
      case BtfKind.RESTRICT:
      case BtfKind.FUNC:
      case BtfKind.FUNC_PROTO:
      case BtfKind.VAR:
      case BtfKind.DECL_TAG:
      case BtfKind.TYPE_TAG:
        return this.#sizeOrType(id);
      default:
        return 0;
    }
  }

  members(id: number): readonly BtfMember[] {
    if (this.base !== undefined && id < this.firstId) return this.base.members(id);
    const known = this.#members.get(id);
    if (known !== undefined) return known;
    const kind = this.kind(id);
    if (kind !== BtfKind.STRUCT && kind !== BtfKind.UNION) return [];
    const hasBitSizes = this.kindFlag(id);
    const members = this.#elements(id, 3, (at): BtfMember => {
      const offset = this.#u32[at + 2];
      return {
        name: this.strings.text(this.#u32[at]),
        typeId: this.#u32[at + 1],
        bitOffset: hasBitSizes ? offset & 0xffffff : offset,
        bitSize: hasBitSizes ? offset >>> 24 : 0,
      };
    });
    this.#members.set(id, members);
    return members;
  }

  array(id: number): BtfArray | undefined {
    const stripped = this.strip(id);
    return this.kind(stripped) === BtfKind.ARRAY ? this.#arrayAt(stripped) : undefined;
  }

  /** The type that an array is indexed with; the compiler's `__ARRAY_SIZE_TYPE__`. */
  arrayIndexType(id: number): number {
    if (this.base !== undefined && id < this.firstId) return this.base.arrayIndexType(id);
    return this.kind(id) === BtfKind.ARRAY ? this.#u32[this.#word(id) + 4] : 0;
  }

  /**
   * Values are signed where the kind flag says so (pahole 1.24 and later, Linux 6.0); before,
   * a negative one reads as its 32-bit complement.
   */
  enumerators(id: number): readonly BtfEnumerator[] {
    if (this.base !== undefined && id < this.firstId) return this.base.enumerators(id);
    const kind = this.kind(id);
    if (kind !== BtfKind.ENUM && kind !== BtfKind.ENUM64) return [];
    const wide = kind === BtfKind.ENUM64;
    const signed = this.kindFlag(id);
    return this.#elements(id, wide ? 3 : 2, (at): BtfEnumerator => {
      const high = wide ? BigInt(this.#u32[at + 2]) << 32n : 0n;
      const value = high | BigInt(this.#u32[at + 1]);
      return {
        name: this.strings.text(this.#u32[at]),
        value: signed ? BigInt.asIntN(wide ? 64 : 32, value) : value,
      };
    });
  }

  int(id: number): BtfInt | undefined {
    const stripped = this.strip(id);
    return this.kind(stripped) === BtfKind.INT ? decodeInt(this.#firstExtra(stripped)) : undefined;
  }

  params(id: number): readonly BtfParam[] {
    if (this.base !== undefined && id < this.firstId) return this.base.params(id);
    if (this.kind(id) !== BtfKind.FUNC_PROTO) return [];
    return this.#elements(id, 2, (at) => ({
      name: this.strings.text(this.#u32[at]),
      typeId: this.#u32[at + 1],
    }));
  }

  variable(id: number): BtfVar | undefined {
    if (this.kind(id) !== BtfKind.VAR) return undefined;
    return { typeId: this.#sizeOrType(id), linkage: this.#firstExtra(id) };
  }

  /** Of a DATASEC. In vmlinux there is one, `.data..percpu`, with offsets from its start. */
  sectionVars(id: number): readonly BtfSectionVar[] {
    if (this.base !== undefined && id < this.firstId) return this.base.sectionVars(id);
    if (this.kind(id) !== BtfKind.DATASEC) return [];
    return this.#elements(id, 3, (at) => ({
      typeId: this.#u32[at],
      offset: this.#u32[at + 1],
      size: this.#u32[at + 2],
    }));
  }

  /** Of a DECL_TAG: the member or parameter that it marks, −1 for the whole. */
  componentIndex(id: number): number {
    return this.kind(id) === BtfKind.DECL_TAG ? this.#firstExtra(id) | 0 : -1;
  }

  /** Word offset of the record of an own id, or −1. */
  #word(id: number): number {
    const number = id - this.firstId;
    return number >= 0 && number < this.index.words.length ? this.index.words[number] : -1;
  }

  /** The third word. Only for ids that have a record. */
  #sizeOrType(id: number): number {
    if (this.base !== undefined && id < this.firstId) return this.base.#sizeOrType(id);
    return this.#u32[this.#word(id) + 2];
  }

  /** The fourth word. Only for ids of kinds that have one. */
  #firstExtra(id: number): number {
    if (this.base !== undefined && id < this.firstId) return this.base.#firstExtra(id);
    return this.#u32[this.#word(id) + 3];
  }

  #arrayAt(id: number): BtfArray {
    if (this.base !== undefined && id < this.firstId) return this.base.#arrayAt(id);
    const at = this.#word(id);
    return { elementType: this.#u32[at + 3], count: this.#u32[at + 5] };
  }

  #elements<T>(id: number, words: number, decode: (at: number) => T): T[] {
    const at = this.#word(id);
    const count = Math.min(this.#u32[at + 1] & 0xffffff, MAX_ELEMENTS);
    const elements: T[] = [];
    for (let i = 0; i < count; i++) elements.push(decode(at + 3 + i * words));
    return elements;
  }
}

function decodeInt(word: number): BtfInt {
  const encoding = (word >>> 24) & 0xf;
  return {
    signed: (encoding & 1) !== 0,
    char: (encoding & 2) !== 0,
    bool: (encoding & 4) !== 0,
    bits: word & 0xff,
    bitOffset: (word >>> 16) & 0xff,
  };
}
