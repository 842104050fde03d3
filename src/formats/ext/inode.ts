import { inodeType } from "../disk/file-system.ts";
import type { DiskInode } from "../disk/file-system.ts";
import { u16, u32 } from "../little-endian.ts";

/** A file of an ext file system, as its inode tells (struct ext4_inode, fs/ext4/ext4.h). */
export type ExtInode = DiskInode & {
  readonly flags: number;
  /** In units of 512 bytes or of the block size: zero or not is all that is asked. */
  readonly blocks: number;
  readonly hasAttributeBlock: boolean;
  /** i_block: the map of its blocks, or what is kept instead; a view. */
  readonly map: Uint8Array;
  /** All of it. */
  readonly bytes: Uint8Array;
};

/** EXT4_*_FL. */
export const InodeFlag = {
  ENCRYPT: 0x800,
  EXTENTS: 0x80000,
  INLINE_DATA: 0x10000000,
} as const;

const MAP = 0x28;
export const MAP_SIZE = 60;
export const BASE_SIZE = 128;

/** Decodes an inode; undefined where it is not in use. */
export function decodeInode(number: number, bytes: Uint8Array): ExtInode | undefined {
  const mode = u16(bytes, 0);
  const links = u16(bytes, 0x1a);
  if (mode === 0) return undefined;
  return {
    number,
    mode,
    type: inodeType(mode),
    uid: u16(bytes, 2) + u16(bytes, 0x78) * 2 ** 16,
    gid: u16(bytes, 0x18) + u16(bytes, 0x7a) * 2 ** 16,
    size: u32(bytes, 4) + u32(bytes, 0x6c) * 2 ** 32,
    links,
    modified: modifiedOf(bytes),
    flags: u32(bytes, 0x20),
    blocks: u32(bytes, 0x1c) + u16(bytes, 0x74) * 2 ** 32,
    hasAttributeBlock: u32(bytes, 0x68) !== 0 || u16(bytes, 0x76) !== 0,
    generation: u32(bytes, 0x64),
    map: bytes.subarray(MAP, MAP + MAP_SIZE),
    bytes,
  };
}

/** Seconds, and where the inode is large enough two more bits of them and nanoseconds. */
function modifiedOf(bytes: Uint8Array): number {
  const seconds = u32(bytes, 0x10) | 0;
  const hasExtra = bytes.length > BASE_SIZE && u16(bytes, 0x80) >= 0x8c - BASE_SIZE;
  const extra = hasExtra ? u32(bytes, 0x88) : 0;
  return (seconds + (extra & 3) * 2 ** 32) * 1000 + Math.floor((extra >>> 2) / 1e6);
}
