import { inodeType } from "../disk/file-system.ts";
import type { DiskInode } from "../disk/file-system.ts";

/** A file of an XFS, as its inode tells (struct xfs_dinode, fs/xfs/libxfs/xfs_format.h). */
export type XfsInode = DiskInode & {
  /** Where its content is: in the inode, in extents that are listed there, or in a tree of them. */
  readonly format: "local" | "extents" | "tree" | "other";
  readonly extents: number;
  /** What the inode keeps for its content; a view. */
  readonly fork: Buffer;
};

const MAGIC = 0x494e;
const FORMATS = new Map<number, XfsInode["format"]>([
  [1, "local"],
  [2, "extents"],
  [3, "tree"],
]);
/** Where the content's part begins: version 3 has a longer head. */
const HEAD = { old: 100, v3: 176 };
/** XFS_DIFLAG_REALTIME: the content is on another device. */
const REAL_TIME = 0x1;
/** XFS_DIFLAG2_BIGTIME and _NREXT64. */
const BIG_TIME = 1n << 3n;
const MANY_EXTENTS = 1n << 4n;
/** XFS_BIGTIME_EPOCH_OFFSET: such times count nanoseconds from 1901. */
const BIG_TIME_START = 2 ** 31;

/** Decodes an inode; undefined where it is none, or not in use. */
export function decodeXfsInode(number: number, bytes: Uint8Array): XfsInode | undefined {
  const inode = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const mode = inode.readUInt16BE(2);
  const isV3 = inode[4] === 3;
  if (inode.readUInt16BE(0) !== MAGIC || mode === 0) return undefined;
  if (isV3 && Number(inode.readBigUInt64BE(152)) !== number) return undefined;
  const flags = isV3 ? inode.readBigUInt64BE(120) : 0n;
  const start = isV3 ? HEAD.v3 : HEAD.old;
  const end = inode[82] === 0 ? inode.length : Math.min(inode.length, start + inode[82]! * 8);
  const isRealTime = (inode.readUInt16BE(90) & REAL_TIME) !== 0;
  const many = (flags & MANY_EXTENTS) !== 0n;
  return {
    number,
    mode,
    type: inodeType(mode),
    uid: inode.readUInt32BE(8),
    gid: inode.readUInt32BE(12),
    size: Number(inode.readBigUInt64BE(56)),
    links: inode.readUInt32BE(16),
    modified: modifiedOf(inode, (flags & BIG_TIME) !== 0n),
    generation: inode.readUInt32BE(92),
    format: isRealTime ? "other" : (FORMATS.get(inode[5]!) ?? "other"),
    extents: many ? Number(inode.readBigUInt64BE(24)) : inode.readUInt32BE(76),
    fork: inode.subarray(start, end),
  };
}

function modifiedOf(inode: Buffer, isBig: boolean): number {
  if (isBig) return Number(inode.readBigUInt64BE(40) / 1_000_000n) - BIG_TIME_START * 1000;
  return inode.readInt32BE(40) * 1000 + Math.floor(inode.readUInt32BE(44) / 1e6);
}
