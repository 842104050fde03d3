import type { DiskEntry } from "../disk/file-system.ts";
import { u16, u32 } from "../little-endian.ts";

const HEADER = 8;

/**
 * The entries of a directory's block (struct ext4_dir_entry_2, fs/ext4/ext4.h), up to the first
 * damaged one. Blocks of the hash tree look like blocks of unused entries, so that every directory
 * can be read from its first block to its last.
 */
export function* directoryEntries(
  block: Uint8Array,
  hasFileTypes: boolean,
): Generator<DiskEntry, boolean> {
  for (let at = 0; at + HEADER <= block.length;) {
    const length = entryLength(u16(block, at + 4), block.length);
    const nameLength = hasFileTypes ? block[at + 6] : u16(block, at + 6);
    if (length < HEADER || length % 4 !== 0 || at + length > block.length) return false;
    if (HEADER + nameLength > length) return false;
    const inode = u32(block, at);
    const name = Buffer.from(block.subarray(at + HEADER, at + HEADER + nameLength));
    if (inode !== 0 && nameLength > 0) yield { inode, name: name.toString("utf8") };
    at += length;
  }
  return true;
}

/** 16 bits do not hold the length of a whole block of 64 KiB (ext4_rec_len_from_disk). */
function entryLength(stored: number, blockSize: number): number {
  if (blockSize < 65_536) return stored;
  return stored === 0xffff || stored === 0 ? blockSize : (stored & 0xfffc) | ((stored & 3) << 16);
}
