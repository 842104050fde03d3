import { diskBytes } from "../disk/disk-bytes.ts";
import type { DiskBytes } from "../disk/disk-bytes.ts";
import { uuidText } from "../disk/file-system.ts";
import { text, u16, u32 } from "../little-endian.ts";

/** The head of an ext2, ext3 or ext4 file system (struct ext4_super_block, fs/ext4/ext4.h). */
export type ExtSuperblock = {
  readonly blockSize: number;
  readonly blocks: number;
  readonly inodes: number;
  readonly inodeSize: number;
  readonly inodesPerGroup: number;
  readonly blocksPerGroup: number;
  readonly firstDataBlock: number;
  /** Of a group descriptor. */
  readonly descriptorSize: number;
  readonly incompatible: number;
  readonly readOnlyCompatible: number;
  readonly compatible: number;
  readonly firstMetaGroup: number;
  /** Groups with copies of the head under sparse_super2. */
  readonly backupGroups: readonly [number, number];
  /** With dashes, as blkid shows it. */
  readonly uuid: string;
  readonly label: string;
  /** What checksums of metadata begin with; undefined where there are none. */
  readonly checksumSeed: { readonly uuid: Uint8Array } | { readonly seed: number } | undefined;
};

export const SUPERBLOCK_OFFSET = 1024;
const SIZE = 1024;
const MAGIC = 0xef53;

/**
 * Features that change how a file system is read (EXT4_FEATURE_INCOMPAT_*), as far as it can be:
 * compression, a journal by itself, and data in directories are refused.
 */
export const Incompatible = {
  FILETYPE: 0x2,
  RECOVER: 0x4,
  META_BG: 0x10,
  EXTENTS: 0x40,
  "64BIT": 0x80,
  MMP: 0x100,
  FLEX_BG: 0x200,
  EA_INODE: 0x400,
  CSUM_SEED: 0x2000,
  LARGEDIR: 0x4000,
  INLINE_DATA: 0x8000,
  ENCRYPT: 0x10000,
  CASEFOLD: 0x20000,
} as const;
const READABLE = Object.values(Incompatible).reduce<number>((all, bit) => all | bit, 0);

export const ReadOnlyCompatible = { SPARSE_SUPER: 0x1, METADATA_CSUM: 0x400 } as const;
export const Compatible = { SPARSE_SUPER2: 0x200 } as const;

/** EXT2_GOOD_OLD_INODE_SIZE, of file systems of revision 0. */
const OLD_INODE_SIZE = 128;
const MAX_BLOCK_BITS = 16;

/** Reads the head of a volume's file system; a reason where it is none that can be read. */
export function parseExtSuperblock(volume: DiskBytes): ExtSuperblock | string {
  const head = diskBytes(volume, SUPERBLOCK_OFFSET, SIZE);
  if (head === undefined || u16(head, 0x38) !== MAGIC) return "it holds no ext file system";
  const incompatible = u32(head, 0x60);
  const unknown = incompatible & ~READABLE;
  if (unknown !== 0) return `its file system has features 0x${unknown.toString(16)}`;
  const blockBits = 10 + u32(head, 0x18);
  if (blockBits > MAX_BLOCK_BITS) return "its block size is impossible";
  const is64 = (incompatible & Incompatible["64BIT"]) !== 0;
  const superblock: ExtSuperblock = {
    blockSize: 2 ** blockBits,
    blocks: u32(head, 4) + (is64 ? u32(head, 0x150) * 2 ** 32 : 0),
    inodes: u32(head, 0),
    inodeSize: u32(head, 0x4c) === 0 ? OLD_INODE_SIZE : u16(head, 0x58),
    inodesPerGroup: u32(head, 0x28),
    blocksPerGroup: u32(head, 0x20),
    firstDataBlock: u32(head, 0x14),
    descriptorSize: is64 ? u16(head, 0xfe) : 32,
    incompatible,
    readOnlyCompatible: u32(head, 0x64),
    compatible: u32(head, 0x5c),
    firstMetaGroup: u32(head, 0x104),
    backupGroups: [u32(head, 0x24c), u32(head, 0x250)],
    uuid: uuidText(head.subarray(0x68, 0x78)),
    label: text(head, 0x78, 16),
    checksumSeed: seedOf(head, incompatible),
  };
  return isPossible(superblock) ? superblock : "the head of its file system is damaged";
}

function seedOf(head: Uint8Array, incompatible: number): ExtSuperblock["checksumSeed"] {
  if ((u32(head, 0x64) & ReadOnlyCompatible.METADATA_CSUM) === 0) return undefined;
  if ((incompatible & Incompatible.CSUM_SEED) !== 0) return { seed: u32(head, 0x270) };
  return { uuid: head.slice(0x68, 0x78) };
}

function isPossible(head: ExtSuperblock): boolean {
  const { blockSize, inodeSize, inodesPerGroup, blocksPerGroup, descriptorSize } = head;
  return (
    inodeSize >= OLD_INODE_SIZE &&
    inodeSize <= blockSize &&
    inodesPerGroup > 0 &&
    blocksPerGroup > 0 &&
    descriptorSize >= 32 &&
    descriptorSize <= blockSize &&
    head.firstDataBlock <= 1
  );
}
