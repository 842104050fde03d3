import type { DiskEntry } from "../disk/file-system.ts";

/** Blocks of entries: "XD2D" and "XDD3"; with their leaf in the same block "XD2B" and "XDB3". */
const BLOCKS = new Map([
  [0x58443244, { head: 16, hasLeaf: false }],
  [0x58444433, { head: 64, hasLeaf: false }],
  [0x58443242, { head: 16, hasLeaf: true }],
  [0x58444233, { head: 64, hasLeaf: true }],
]);
const FREE = 0xffff;
const MIN_ENTRY = 16;

/** The entries of a small directory, which lie in its inode (struct xfs_dir2_sf_hdr). */
export function* shortEntries(fork: Buffer, hasTypes: boolean): Generator<DiskEntry, boolean> {
  if (fork.length < 6) return false;
  const count = fork[0]!;
  const numberSize = fork[1] === 0 ? 4 : 8;
  let at = 2 + numberSize;
  for (let index = 0; index < count; index++) {
    const nameAt = at + 3;
    const end = nameAt + fork[at]! + (hasTypes ? 1 : 0);
    if (!(end + numberSize <= fork.length)) return false;
    const inode = numberSize === 4 ? fork.readUInt32BE(end) : Number(fork.readBigUInt64BE(end));
    yield { name: fork.toString("utf8", nameAt, nameAt + fork[at]!), inode };
    at = end + numberSize;
  }
  return true;
}

/** The entries of a block of a directory, up to the first damaged one (struct xfs_dir2_data_hdr). */
export function* blockEntries(block: Buffer, hasTypes: boolean): Generator<DiskEntry, boolean> {
  const kind = BLOCKS.get(block.readUInt32BE(0));
  if (kind === undefined) return false;
  const end = kind.hasLeaf ? leafStart(block) : block.length;
  for (let at = kind.head; at + MIN_ENTRY <= end;) {
    if (block.readUInt16BE(at) === FREE) {
      const length = block.readUInt16BE(at + 2);
      if (length < 8 || length % 8 !== 0) return false;
      at += length;
      continue;
    }
    const length = block[at + 8]!;
    const size = Math.ceil((8 + 1 + length + (hasTypes ? 1 : 0) + 2) / 8) * 8;
    if (length === 0 || at + size > end) return false;
    const inode = Number(block.readBigUInt64BE(at));
    yield { name: block.toString("utf8", at + 9, at + 9 + length), inode };
    at += size;
  }
  return true;
}

/** At the end a count of leaf entries of 8 bytes, which lie before it (struct xfs_dir2_block_tail). */
function leafStart(block: Buffer): number {
  const count = block.readUInt32BE(block.length - 8);
  return Math.max(0, block.length - 8 - count * 8);
}
