import { diskBytes } from "../disk/disk-bytes.ts";
import type { DiskBytes } from "../disk/disk-bytes.ts";
import { uuidText } from "../disk/file-system.ts";
import { text } from "../little-endian.ts";

/** The head of an XFS file system (struct xfs_dsb, fs/xfs/libxfs/xfs_format.h); XFS is big-endian. */
export type XfsSuperblock = {
  readonly blockSize: number;
  /** Blocks of an allocation group, and the bits that its numbers take. */
  readonly groupBlocks: number;
  readonly groupBits: number;
  readonly groups: number;
  readonly inodeSize: number;
  /** Bits of an inode's place in its block. */
  readonly inodeBits: number;
  /** Of a block of a directory, in bytes. */
  readonly directoryBlockSize: number;
  readonly root: number;
  readonly uuid: string;
  readonly label: string;
  /** Directories have the type beside each name. */
  readonly hasTypes: boolean;
};

const SIZE = 512;
const MAX_BLOCK = 65_536;
/**
 * Incompatible features (XFS_SB_FEAT_INCOMPAT_*) that change nothing here: types in directories, sparse
 * inode chunks, the second UUID, big times, a file system to be checked, large counts of extents,
 * exchanged ranges, parent pointers, metadata directories, and devices with gaps in their zones.
 */
const FTYPE = 0x1;
const READABLE = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20 | 0x40 | 0x80 | 0x100;
/** The same before version 5 (XFS_SB_VERSION2_FTYPE), where it is valid at all. */
const MORE_BITS = 0x8000;
const FTYPE_V4 = 0x200;

/** Reads the head of a volume's file system; a reason where it is none that can be read. */
export function parseXfsSuperblock(volume: DiskBytes): XfsSuperblock | string {
  const bytes = diskBytes(volume, 0, SIZE);
  if (bytes === undefined || text(bytes, 0, 4) !== "XFSB") return "it holds no XFS";
  const head = Buffer.from(bytes.buffer);
  const versions = head.readUInt16BE(100);
  const version = versions & 0xf;
  if (version !== 4 && version !== 5) return `it is of XFS version ${version}`;
  const isV5 = version === 5;
  const incompatible = isV5 ? head.readUInt32BE(216) : 0;
  const unknown = incompatible & ~READABLE;
  if (unknown !== 0) return `its file system has features 0x${(unknown >>> 0).toString(16)}`;
  const blockSize = head.readUInt32BE(4);
  const hasTypesV4 = (versions & MORE_BITS) !== 0 && (head.readUInt32BE(200) & FTYPE_V4) !== 0;
  const superblock: XfsSuperblock = {
    blockSize,
    groupBlocks: head.readUInt32BE(84),
    groupBits: head[124]!,
    groups: head.readUInt32BE(88),
    inodeSize: head.readUInt16BE(104),
    inodeBits: head[123]!,
    directoryBlockSize: blockSize * 2 ** Math.min(head[192]!, 16),
    root: Number(head.readBigUInt64BE(56)),
    uuid: uuidText(bytes.subarray(32, 48)),
    label: text(bytes, 108, 12),
    hasTypes: isV5 ? (incompatible & FTYPE) !== 0 : hasTypesV4,
  };
  return isPossible(superblock) ? superblock : "the head of its file system is damaged";
}

function isPossible(head: XfsSuperblock): boolean {
  const { blockSize, inodeSize, inodeBits, groupBits, directoryBlockSize } = head;
  return (
    [512, 1024, 2048, 4096, 8192, 16_384, 32_768, MAX_BLOCK].includes(blockSize) &&
    directoryBlockSize <= MAX_BLOCK &&
    inodeSize >= 256 &&
    inodeSize <= 2048 &&
    inodeSize * 2 ** inodeBits === blockSize &&
    groupBits <= 32 &&
    head.groupBlocks <= 2 ** groupBits &&
    Number.isSafeInteger(head.root)
  );
}
