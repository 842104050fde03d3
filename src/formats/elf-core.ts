import { u16, u32, u64 } from "./little-endian.ts";

/*
 * The outer parts of ELF core files, one at a time: dumps are larger than memory, may have a
 * million segments, and are 32-bit while the guest is in its firmware. elf.ts reads ELF files
 * that lie in memory whole.
 */

/** Bytes from a file's start that hold any ELF header. */
export const ELF_HEADER_SIZE = 64;

/** ELF constants, as in the gABI and linux/elf.h. */
export const ET_CORE = 4;
export const PT_LOAD = 1;
export const PT_NOTE = 4;
/** e_phnum of a file with more headers than 16 bits count; section 0's sh_info has the number. */
const PN_XNUM = 0xffff;
/** makedumpfile's mark in e_flags: the disk filled up while it wrote (DUMP_ELF_INCOMPLETE). */
const DUMP_ELF_INCOMPLETE = 1;

export type ElfHeader = {
  readonly bits: 32 | 64;
  /** e_type: ET_CORE for dumps. */
  readonly type: number;
  /** e_machine: 62 is x86-64, 3 is i386 (a guest still in its firmware). */
  readonly machine: number;
  readonly programHeaders: { readonly at: number; readonly size: number; readonly count: number };
  /** Where section 0 lies if the count above must be taken from there, else undefined. */
  readonly countAt: number | undefined;
  readonly incomplete: boolean;
};

export type Segment = {
  readonly type: number;
  readonly offset: number;
  readonly physical: number;
  readonly fileSize: number;
  readonly memorySize: number;
};

export function isElf(head: Uint8Array): boolean {
  return head.length >= 4 && u32(head, 0) === 0x464c457f;
}

/** The file header, or what is wrong with it as the end of a sentence. */
export function parseElfHeader(head: Uint8Array): ElfHeader | string {
  if (!isElf(head)) return "it has no ELF magic";
  if (head.length < 52) return "it ends inside its ELF header";
  if (head[5] !== 1) return "it is big-endian, and only little-endian guests are understood";
  if (head[4] !== 1 && head[4] !== 2) return `its ELF class ${head[4]} is unknown`;
  const wide = head[4] === 2;
  if (wide && head.length < ELF_HEADER_SIZE) return "it ends inside its ELF header";
  const flagsAt = wide ? 48 : 36;
  const size = u16(head, flagsAt + 6);
  const count = u16(head, flagsAt + 8);
  if (size !== (wide ? 56 : 32)) return `its program headers have the odd size ${size}`;
  const sections = wide ? u64(head, 40) : u32(head, 32);
  return {
    bits: wide ? 64 : 32,
    type: u16(head, 16),
    machine: u16(head, 18),
    programHeaders: { at: wide ? u64(head, 32) : u32(head, 28), size, count },
    // sh_info lies at 44 of a 64-bit section header, at 28 of a 32-bit one.
    countAt: count === PN_XNUM ? sections + (wide ? 44 : 28) : undefined,
    incomplete: (u32(head, flagsAt) & DUMP_ELF_INCOMPLETE) !== 0,
  };
}

/** One program header; the caller has checked that its bytes are there. */
export function parseSegment(table: Uint8Array, at: number, bits: 32 | 64): Segment {
  if (bits === 64) {
    return {
      type: u32(table, at),
      offset: u64(table, at + 8),
      physical: u64(table, at + 24),
      fileSize: u64(table, at + 32),
      memorySize: u64(table, at + 40),
    };
  }
  return {
    type: u32(table, at),
    offset: u32(table, at + 4),
    physical: u32(table, at + 12),
    fileSize: u32(table, at + 16),
    memorySize: u32(table, at + 20),
  };
}
