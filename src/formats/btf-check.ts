import type { Btf } from "./btf.ts";
import { BtfKind } from "./type-source.ts";

/** Which words of a kind's record and elements are names and types; −1 for none. */
type Shape = {
  /** The third word is a type, not a size. */
  readonly refers: boolean;
  /** Words of each element, and where in it the name and the type are. */
  readonly element: number;
  readonly name: number;
  readonly type: number;
};

const NOTHING: Shape = { refers: false, element: 0, name: -1, type: -1 };
const REFERS: Shape = { ...NOTHING, refers: true };
const MEMBERS: Shape = { refers: false, element: 3, name: 0, type: 1 };

const SHAPES: ReadonlyMap<BtfKind, Shape> = new Map([
  [BtfKind.PTR, REFERS],
  [BtfKind.TYPEDEF, REFERS],
  [BtfKind.VOLATILE, REFERS],
  [BtfKind.CONST, REFERS],
  [BtfKind.RESTRICT, REFERS],
  [BtfKind.FUNC, REFERS],
  [BtfKind.VAR, REFERS],
  [BtfKind.DECL_TAG, REFERS],
  [BtfKind.TYPE_TAG, REFERS],
  [BtfKind.FUNC_PROTO, { refers: true, element: 2, name: 0, type: 1 }],
  [BtfKind.STRUCT, MEMBERS],
  [BtfKind.UNION, MEMBERS],
  [BtfKind.ENUM, { refers: false, element: 2, name: 0, type: -1 }],
  [BtfKind.ENUM64, { refers: false, element: 3, name: 0, type: -1 }],
  [BtfKind.DATASEC, { refers: false, element: 3, name: -1, type: 0 }],
]);

/**
 * Looks at every record and string of a BTF (its base's excepted), some 10 ms for vmlinux, and
 * says what cannot be true of one that a kernel uses. It tells such a one from a copy that the
 * boot left behind and parts of which are overwritten; a forger can of course write what passes.
 */
export function checkBtf(btf: Btf): string | undefined {
  return checkStrings(btf) ?? checkRecords(btf);
}

/** Names are printable; compilers let everything from 0x80 on into identifiers, too. */
function checkStrings(btf: Btf): string | undefined {
  const { buffer, stringStart, stringLength } = btf.index;
  for (let at = stringStart; at < stringStart + stringLength; at++) {
    const byte = buffer[at];
    if ((byte < 0x20 && byte !== 0) || byte === 0x7f) {
      return `string section has byte ${byte} at ${at - stringStart}`;
    }
  }
  return undefined;
}

function checkRecords(btf: Btf): string | undefined {
  const { u32, words } = btf.index;
  for (let number = 0; number < words.length; number++) {
    const at = words[number];
    const info = u32[at + 1];
    const shape = SHAPES.get(((info >>> 24) & 0x7f) as BtfKind) ?? NOTHING;
    const id = btf.firstId + number;
    if (!isName(btf, u32[at])) return `type ${id} has no proper name`;
    if (shape.refers && u32[at + 2] >= btf.typeCount) return `type ${id} refers to nothing`;
    const end = at + 3 + (info & 0xffffff) * shape.element;
    for (let element = at + 3; element < end; element += shape.element) {
      if (shape.name >= 0 && !isName(btf, u32[element + shape.name])) {
        return `type ${id} has a member without a proper name`;
      }
      if (shape.type >= 0 && u32[element + shape.type] >= btf.typeCount) {
        return `type ${id} has a member of no type`;
      }
    }
    if (((info >>> 24) & 0x7f) === BtfKind.ARRAY && u32[at + 3] >= btf.typeCount) {
      return `type ${id} is an array of nothing`;
    }
  }
  return undefined;
}

/** 0 (no name), or the beginning of a string that is not empty. */
function isName(btf: Btf, offset: number): boolean {
  if (offset === 0 || offset < btf.strings.first) return true;
  const { buffer, stringStart } = btf.index;
  const at = stringStart + offset - btf.strings.first;
  return (
    offset < btf.strings.end && buffer[at] !== 0 && (at === stringStart || buffer[at - 1] === 0)
  );
}
