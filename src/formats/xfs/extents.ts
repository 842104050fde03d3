import type { XfsInode } from "./inode.ts";

/** A run of a file's blocks, by the file system's numbers; `block` undefined where it was not written. */
export type XfsRun = {
  /** In blocks, from the file's start. */
  readonly logical: number;
  readonly count: number;
  readonly block: number | undefined;
};

/** Reads a block by the file system's number of it; undefined outside. */
export type ReadXfsBlock = (block: number) => Buffer | undefined;

const RECORD = 16;
const ROOT_HEAD = 4;
/** XFS_BM_MAXLEVELS of any file system. */
const MAX_LEVEL = 16;
const MAX_BLOCKS = 65_536;
/** "BMAP" and "BMA3", and how long the heads of such blocks are (struct xfs_btree_block). */
const HEADS = new Map([
  [0x424d4150, 24],
  [0x424d4133, 72],
]);

/** The runs of a file in ascending order; ends with `problem` told where the map is damaged. */
export function* xfsRuns(
  inode: XfsInode,
  read: ReadXfsBlock,
  problem: (reason: string) => void,
): Generator<XfsRun> {
  const { fork, format } = inode;
  if (format === "extents") {
    const count = Math.min(inode.extents, Math.floor(fork.length / RECORD));
    if (count < inode.extents) return problem("its list of extents is damaged");
    yield* ascending(records(fork, 0, count), problem);
    return undefined;
  }
  if (format !== "tree") return problem("its content is kept in an unknown way");
  const most = Math.floor((fork.length - ROOT_HEAD) / RECORD);
  const level = fork.readUInt16BE(0);
  const count = fork.readUInt16BE(2);
  if (count > most || level === 0 || level > MAX_LEVEL)
    return problem("its tree of extents is damaged");
  const budget = { left: MAX_BLOCKS };
  const leaves = below(fork, ROOT_HEAD + most * 8, count, level, { read, problem, budget });
  yield* ascending(leaves, problem);
  return undefined;
}

type Walk = {
  readonly read: ReadXfsBlock;
  readonly problem: (reason: string) => void;
  readonly budget: { left: number };
};

/** The records under `count` pointers of a node at `level`. */
function* below(
  node: Buffer,
  pointers: number,
  count: number,
  level: number,
  walk: Walk,
): Generator<XfsRun> {
  for (let index = 0; index < count; index++) {
    const at = pointers + index * 8;
    const block = Number(node.readBigUInt64BE(at));
    const child = walk.budget.left-- > 0 ? walk.read(block) : undefined;
    const head = child && HEADS.get(child.readUInt32BE(0));
    if (child === undefined || head === undefined || child.readUInt16BE(4) !== level - 1) {
      return walk.problem("a block of its extents cannot be read");
    }
    const most = Math.floor((child.length - head) / RECORD);
    const entries = child.readUInt16BE(6);
    if (entries > most) return walk.problem("a block of its extents is damaged");
    if (level === 1) yield* records(child, head, entries);
    else yield* below(child, head + most * 8, entries, level - 1, walk);
  }
  return undefined;
}

/** 128 bits: unwritten 1, file's block 54, block 52, count 21 (struct xfs_bmbt_rec). */
function* records(bytes: Buffer, start: number, count: number): Generator<XfsRun> {
  for (let index = 0; index < count; index++) {
    const first = bytes.readBigUInt64BE(start + index * RECORD);
    const second = bytes.readBigUInt64BE(start + index * RECORD + 8);
    const isUnwritten = first >> 63n === 1n;
    yield {
      logical: Number((first >> 9n) & ((1n << 54n) - 1n)),
      count: Number(second & ((1n << 21n) - 1n)),
      block: isUnwritten ? undefined : Number(((first & 0x1ffn) << 43n) | (second >> 21n)),
    };
  }
}

function* ascending(runs: Iterable<XfsRun>, problem: (reason: string) => void): Generator<XfsRun> {
  let next = 0;
  for (const run of runs) {
    if (run.logical < next) return problem("its extents overlap");
    next = run.logical + run.count;
    yield run;
  }
  return undefined;
}
