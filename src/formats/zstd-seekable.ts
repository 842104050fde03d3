import { u32 } from "./little-endian.ts";

/*
 * The seekable form of Zstandard (facebook/zstd, contrib/seekable_format/zstd_seekable_compression_format.md,
 * version 0.1.0): frames that stand alone, and behind them a skippable frame with the sizes of each.
 * `zstd -d` unpacks it as it does any other file.
 */
const ZSTD_MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a5e;
const SEEKABLE_MAGIC = 0x8f92eab1;
const SKIPPABLE_HEADER = 8;
export const SEEK_FOOTER = 9;
/** Sizes of a frame, packed and unpacked; with a checksum of four bytes where bit 7 is set. */
const ENTRY = 8;
const CHECKSUM_FLAG = 0x80;
/** Bits 2 to 6 are reserved and zero. */
const RESERVED = 0x7c;
/** No frame unfolds into more: what is read at one place needs no more memory. */
export const MAX_FRAME = 8 * 2 ** 20;
/** What does not shrink grows by less than a 256th (ZSTD_compressBound). */
const MAX_PACKED = MAX_FRAME + 2 ** 17;
const MAX_FRAMES = 2 ** 23;

/** Where each frame begins, packed and unpacked, and where the last ends: one number more than frames. */
export type SeekTable = { readonly packed: Float64Array; readonly content: Float64Array };

/** Whether a file begins as a Zstandard frame does. */
export function isZstd(head: Uint8Array): boolean {
  return head.length >= 4 && u32(head, 0) === ZSTD_MAGIC;
}

/** Size of the seek table whose last bytes are given, or undefined where there is none that fits the file. */
export function seekTableSize(footer: Uint8Array, fileSize: number): number | undefined {
  if (footer.length !== SEEK_FOOTER || u32(footer, 5) !== SEEKABLE_MAGIC) return undefined;
  if ((footer[4] & RESERVED) !== 0 || u32(footer, 0) > MAX_FRAMES) return undefined;
  const size = SKIPPABLE_HEADER + u32(footer, 0) * entrySize(footer[4]) + SEEK_FOOTER;
  return size <= fileSize ? size : undefined;
}

/**
 * Reads a seek table (all `seekTableSize` bytes of it). Undefined where it does not describe the
 * file exactly, or a frame is larger than any that is written here.
 */
export function parseSeekTable(table: Uint8Array, fileSize: number): SeekTable | undefined {
  const footer = table.subarray(-SEEK_FOOTER);
  if (seekTableSize(footer, fileSize) !== table.length) return undefined;
  if (u32(table, 0) !== SKIPPABLE_MAGIC) return undefined;
  if (u32(table, 4) !== table.length - SKIPPABLE_HEADER) return undefined;
  const frames = u32(footer, 0);
  const step = entrySize(footer[4]);
  const packed = new Float64Array(frames + 1);
  const content = new Float64Array(frames + 1);
  for (let index = 0; index < frames; index++) {
    const at = SKIPPABLE_HEADER + index * step;
    const stored = u32(table, at);
    const size = u32(table, at + 4);
    if (size > MAX_FRAME || stored > MAX_PACKED) return undefined;
    packed[index + 1] = packed[index] + stored;
    content[index + 1] = content[index] + size;
  }
  return packed[frames] + table.length === fileSize ? { packed, content } : undefined;
}

/** The seek table for frames of these sizes, without checksums. */
export function encodeSeekTable(
  frames: readonly { readonly packed: number; readonly content: number }[],
): Uint8Array {
  const table = new Uint8Array(SKIPPABLE_HEADER + frames.length * ENTRY + SEEK_FOOTER);
  const view = new DataView(table.buffer);
  view.setUint32(0, SKIPPABLE_MAGIC, true);
  view.setUint32(4, table.length - SKIPPABLE_HEADER, true);
  for (const [index, { packed, content }] of frames.entries()) {
    view.setUint32(SKIPPABLE_HEADER + index * ENTRY, packed, true);
    view.setUint32(SKIPPABLE_HEADER + index * ENTRY + 4, content, true);
  }
  const footer = table.length - SEEK_FOOTER;
  view.setUint32(footer, frames.length, true);
  view.setUint32(footer + 5, SEEKABLE_MAGIC, true);
  return table;
}

function entrySize(descriptor: number): number {
  return (descriptor & CHECKSUM_FLAG) === 0 ? ENTRY : ENTRY + 4;
}

/** The frame that holds that byte of the content, or −1. */
export function frameAt({ content }: SeekTable, position: number): number {
  let low = 0;
  let high = content.length - 1;
  if (!(position >= 0 && position < content[high])) return -1;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (content[middle] <= position) low = middle;
    else high = middle;
  }
  return low;
}
