import { text, u16, u32 } from "../little-endian.ts";
import { BASE_SIZE, MAP_SIZE } from "./inode.ts";
import type { ExtInode } from "./inode.ts";

const MAGIC = 0xea020000;
/** EXT4_XATTR_INDEX_SYSTEM, and the attribute `system.data` (fs/ext4/xattr.h). */
const SYSTEM = 7;
const NAME = "data";
const ENTRY = 16;
const MAX_ENTRIES = 64;

/**
 * The content of a small file that is kept in its inode: 60 bytes where the map of its blocks would
 * be, the rest in an extended attribute behind (fs/ext4/inline.c). Undefined where it is damaged.
 */
export function inlineData(inode: ExtInode): Uint8Array | undefined {
  const size = Math.min(inode.size, inode.bytes.length);
  if (size <= MAP_SIZE) return inode.map.subarray(0, size);
  const rest = systemData(inode.bytes);
  if (rest === undefined || MAP_SIZE + rest.length < inode.size) return undefined;
  return Buffer.concat([inode.map, rest]).subarray(0, size);
}

/** Entries, each 4-aligned, and their values counted from the first of them. */
function systemData(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length <= BASE_SIZE + 4) return undefined;
  const start = BASE_SIZE + u16(bytes, BASE_SIZE);
  if (start + 4 > bytes.length || u32(bytes, start) !== MAGIC) return undefined;
  const first = start + 4;
  let at = first;
  for (let left = MAX_ENTRIES; left > 0 && at + ENTRY <= bytes.length; left--) {
    const length = bytes[at];
    if (u32(bytes, at) === 0) return undefined;
    if (bytes[at + 1] === SYSTEM && text(bytes, at + ENTRY, length) === NAME) {
      const from = first + u16(bytes, at + 2);
      const end = from + u32(bytes, at + 8);
      return end <= bytes.length ? bytes.subarray(from, end) : undefined;
    }
    at += (ENTRY + length + 3) & ~3;
  }
  return undefined;
}
