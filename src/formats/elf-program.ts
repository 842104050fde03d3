const MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46]);
const EXECUTABLE = 2;
const SHARED = 3;
const PROGRAM_HEADER = 56;
/** Program headers that are looked at. */
const MAX_HEADERS = 64;
/** Types of program headers. */
export const PT_LOAD = 1;
export const PT_DYNAMIC = 2;
const PT_GNU_STACK = 0x6474_e551;
const PF_X = 1;
const PF_W = 2;
const DT_TEXTREL = 22;
const DT_FLAGS = 30;
const DF_TEXTREL = 4;

/** Whether bytes begin an ELF program or shared library of 64 or 32 bits (elf.h). */
export function isElfProgram(bytes: Uint8Array): boolean {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (head.length < 20 || !head.subarray(0, 4).equals(MAGIC)) return false;
  const isKnown = (head[4] === 1 || head[4] === 2) && head[5] === 1 && head[6] === 1;
  const type = head.readUInt16LE(16);
  return isKnown && (type === EXECUTABLE || type === SHARED);
}

/** One loaded or described part of a program. */
export type ElfPart = {
  readonly type: number;
  readonly executable: boolean;
  readonly writable: boolean;
  /** In the file, in bytes. */
  readonly offset: number;
  readonly size: number;
};

/** The program headers of a 64-bit ELF program, from its first page; undefined where that is none. */
export function elfParts(page: Uint8Array): readonly ElfPart[] | undefined {
  if (!isElfProgram(page) || page[4] !== 2 || page.length < 64) return undefined;
  const head = Buffer.from(page.buffer, page.byteOffset, page.byteLength);
  const table = Number(head.readBigUInt64LE(32));
  const count = Math.min(head.readUInt16LE(56), MAX_HEADERS);
  const parts: ElfPart[] = [];
  for (let index = 0; index < count; index++) {
    const at = table + index * PROGRAM_HEADER;
    if (!(at + PROGRAM_HEADER <= head.length)) break;
    const flags = head.readUInt32LE(at + 4);
    parts.push({
      type: head.readUInt32LE(at),
      executable: (flags & PF_X) !== 0,
      writable: (flags & PF_W) !== 0,
      offset: Number(head.readBigUInt64LE(at + 8)),
      size: Number(head.readBigUInt64LE(at + 32)),
    });
  }
  return parts;
}

/** Whether a program asks for an executable stack (PT_GNU_STACK with PF_X). */
export function wantsExecutableStack(parts: readonly ElfPart[]): boolean {
  return parts.some(({ type, executable }) => type === PT_GNU_STACK && executable);
}

/** Whether a dynamic section says that the loader writes into the code (DT_TEXTREL, DF_TEXTREL). */
export function hasTextRelocations(dynamic: Uint8Array): boolean {
  const bytes = Buffer.from(dynamic.buffer, dynamic.byteOffset, dynamic.byteLength);
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    const tag = bytes.readUInt32LE(at);
    if (tag === 0) return false;
    if (tag === DT_TEXTREL) return true;
    if (tag === DT_FLAGS && (bytes.readUInt32LE(at + 8) & DF_TEXTREL) !== 0) return true;
  }
  return false;
}
