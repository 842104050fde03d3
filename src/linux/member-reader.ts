import type { AddressSpace } from "../arch/x86/address-space.ts";
import type { GuestVirtual } from "../base/address.ts";
import { BtfKind } from "../formats/btf.ts";
import type { MemberPath, TypeSource } from "../formats/btf.ts";

/** Reads one member of the struct at an address; NaN where that cannot be read. */
export type Reader = (object: GuestVirtual) => number;

/** Compiles the reader of a member, so that nothing is looked up while lists are walked. */
export function memberReader(space: AddressSpace, types: TypeSource, member: MemberPath): Reader {
  if (member.bitSize !== 0) return bitFieldReader(space, member);
  const { offset } = member;
  const type = types.strip(member.typeId);
  switch (types.kind(type)) {
    case BtfKind.PTR:
      return (object) => space.pointer(object + offset);
    case BtfKind.INT:
    case BtfKind.ENUM:
    case BtfKind.ENUM64:
      return integerReader(space, offset, types.size(type), types.int(type)?.signed ?? true);
    default:
      return (object) => object + offset;
  }
}

/** An integer of 1, 2, 4 or 8 bytes; 8-byte ones are exact below 2^53. */
export function integerReader(
  space: AddressSpace,
  offset: number,
  size: number,
  signed: boolean,
): Reader {
  switch (size) {
    case 1:
      return signed ? (object) => space.i8(object + offset) : (object) => space.u8(object + offset);
    case 2:
      return signed
        ? (object) => space.i16(object + offset)
        : (object) => space.u16(object + offset);
    case 4:
      return signed
        ? (object) => space.i32(object + offset)
        : (object) => space.u32(object + offset);
    default:
      return signed
        ? (object) => signed64(space.u32(object + offset), space.u32(object + offset + 4))
        : (object) => space.count(object + offset);
  }
}

function signed64(low: number, high: number): number {
  return (high >= 0x8000_0000 ? high - 2 ** 32 : high) * 2 ** 32 + low;
}

function bitFieldReader(space: AddressSpace, member: MemberPath): Reader {
  const { offset, bitOffset, bitSize } = member;
  const bytes = Math.ceil((bitOffset + bitSize) / 8);
  return (object) => {
    let value = 0;
    for (let byte = bytes - 1; byte >= 0; byte--)
      value = value * 256 + space.u8(object + offset + byte);
    return Math.floor(value / 2 ** bitOffset) % 2 ** bitSize;
  };
}
