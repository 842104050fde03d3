import { text, u32, u64 } from "./little-endian.ts";

/**
 * The kdump-compressed format of makedumpfile and QEMU (makedumpfile, IMPLEMENTATION and
 * diskdump_mod.h): header, sub header, two bitmaps, a descriptor for each page that is there,
 * and the pages' data. Little-endian here; 32-bit writers lay the headers out differently.
 */

/** Bytes from the start that hold the main header. */
export const KDUMP_HEADER_SIZE = 512;
export const KDUMP_SUB_HEADER_SIZE = 128;
export const PAGE_DESCRIPTOR_SIZE = 24;

/** Codecs, in a page descriptor's flags. */
export const DUMP_DH_COMPRESSED_ZLIB = 0x1;
export const DUMP_DH_COMPRESSED_LZO = 0x2;
export const DUMP_DH_COMPRESSED_SNAPPY = 0x4;
export const DUMP_DH_COMPRESSED_ZSTD = 0x20;
/** In the main header's status: the disk filled up while makedumpfile wrote. */
const DUMP_DH_COMPRESSED_INCOMPLETE = 0x8;

export type KdumpHeader = {
  readonly bits: 32 | 64;
  readonly version: number;
  readonly machine: string;
  readonly release: string;
  readonly status: number;
  readonly incomplete: boolean;
  readonly blockSize: number;
  /** Where the first bitmap begins. */
  readonly bitmapAt: number;
  /** Size of both bitmaps together. */
  readonly bitmapSize: number;
  /** Where the page descriptors begin. */
  readonly descriptorsAt: number;
  /** 32 bits wide; the sub header of version 6 has all of it. */
  readonly maxPfn: number;
};

export type KdumpSubHeader = {
  /** makedumpfile's -d: bit 0 leaves out zero pages, the others what they name. */
  readonly dumpLevel: number;
  /** The pages of this part of a split dump: from `start` up to `end`, `end` not in it. */
  readonly split: { readonly start: number; readonly end: number } | undefined;
  readonly vmcoreinfo: { readonly at: number; readonly size: number };
  readonly notes: { readonly at: number; readonly size: number };
  readonly maxPfn: number;
};

export type PageDescriptor = {
  readonly offset: number;
  readonly size: number;
  readonly flags: number;
};

/** `"kdump"`, `"diskdump"` for the format that went before it, or undefined. */
export function kdumpSignature(head: Uint8Array): "kdump" | "diskdump" | undefined {
  const signature = text(head, 0, 8);
  if (signature === "KDUMP   ") return "kdump";
  return signature === "DISKDUMP" ? "diskdump" : undefined;
}

/** The main header, or what is wrong with it as the end of a sentence. */
export function parseKdumpHeader(head: Uint8Array): KdumpHeader | string {
  if (head.length < KDUMP_HEADER_SIZE) return "it ends inside its header";
  // struct timeval is 16 bytes and aligned to 8 on 64-bit writers, 8 bytes on 32-bit ones.
  const wide = header(head, 64, 424);
  if (plausible(wide)) return wide;
  const narrow = header(head, 32, 412);
  return plausible(narrow) ? narrow : `its block size ${wide.blockSize} is not a page's`;
}

function header(head: Uint8Array, bits: 32 | 64, statusAt: number): KdumpHeader {
  const status = u32(head, statusAt);
  const blockSize = u32(head, statusAt + 4);
  const bitmapAt = (1 + u32(head, statusAt + 8)) * blockSize;
  const bitmapSize = u32(head, statusAt + 12) * blockSize;
  return {
    bits,
    version: u32(head, 8),
    machine: text(head, 12 + 65 * 4, 65),
    release: text(head, 12 + 65 * 2, 65),
    status,
    incomplete: (status & DUMP_DH_COMPRESSED_INCOMPLETE) !== 0,
    blockSize,
    bitmapAt,
    bitmapSize,
    descriptorsAt: bitmapAt + bitmapSize,
    maxPfn: u32(head, statusAt + 16),
  };
}

function plausible({ blockSize, bitmapAt, bitmapSize }: KdumpHeader): boolean {
  const isPage = blockSize >= 4096 && blockSize <= 65_536 && (blockSize & (blockSize - 1)) === 0;
  return isPage && bitmapAt > blockSize && bitmapSize > 0;
}

/** The sub header, which lies at block 1. */
export function parseKdumpSubHeader(bytes: Uint8Array, main: KdumpHeader): KdumpSubHeader {
  // Field offsets of struct kdump_sub_header: unsigned long is 4 or 8 bytes, off_t is 8; QEMU
  // packs it for 32 bits, as gcc does there.
  const at =
    main.bits === 64
      ? { level: 8, start: 16, end: 24, info: 32, infoSize: 40, note: 48, noteSize: 56, pfn64: 80 }
      : { level: 4, start: 12, end: 16, info: 20, infoSize: 28, note: 32, noteSize: 40, pfn64: 56 };
  const long = main.bits === 64 ? u64 : u32;
  const { version } = main;
  const start = version >= 6 ? u64(bytes, at.pfn64) : long(bytes, at.start);
  const end = version >= 6 ? u64(bytes, at.pfn64 + 8) : long(bytes, at.end);
  const none = { at: 0, size: 0 };
  return {
    dumpLevel: version >= 1 ? u32(bytes, at.level) : 0,
    split: version >= 2 && u32(bytes, at.level + 4) !== 0 ? { start, end } : undefined,
    vmcoreinfo: version >= 3 ? { at: u64(bytes, at.info), size: long(bytes, at.infoSize) } : none,
    notes: version >= 4 ? { at: u64(bytes, at.note), size: long(bytes, at.noteSize) } : none,
    maxPfn: version >= 6 ? u64(bytes, at.pfn64 + 16) : main.maxPfn,
  };
}

/** The descriptor at `at`; the caller has checked that its bytes are there. */
export function parsePageDescriptor(bytes: Uint8Array, at: number): PageDescriptor {
  return { offset: u64(bytes, at), size: u32(bytes, at + 8), flags: u32(bytes, at + 12) };
}
