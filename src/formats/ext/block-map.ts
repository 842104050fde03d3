import { u16, u32 } from "../little-endian.ts";
import { InodeFlag } from "./inode.ts";
import type { ExtInode } from "./inode.ts";

/** A run of a file's blocks; `physical` undefined where it was given room but never written. */
export type BlockRun = {
  /** In blocks, from the file's start. */
  readonly logical: number;
  readonly count: number;
  readonly physical: number | undefined;
};

/** Reads a block of the file system; undefined outside it. */
export type ReadBlock = (block: number) => Uint8Array | undefined;

const EXTENT_MAGIC = 0xf30a;
const ENTRY = 12;
/** EXT4_MAX_EXTENT_DEPTH. */
const MAX_DEPTH = 5;
/** EXT_INIT_MAX_LEN: longer extents are unwritten ones. */
const MAX_WRITTEN = 32_768;
/** Blocks of the map itself that are read for one file. */
const MAX_MAP_BLOCKS = 65_536;
const DIRECT = 12;

/** The walk over one file's map. */
type Walk = {
  /** Blocks of the file that are asked for. */
  readonly blocks: number;
  readonly blockSize: number;
  readonly read: ReadBlock;
  /** Told where the map is damaged: what is left of the file is then not known. */
  readonly problem: (reason: string) => void;
  /** No run may begin before this block: they ascend, and do not overlap. */
  next: number;
  /** Blocks of the map that may still be read. */
  left: number;
};

/** Where a file's blocks lie, in ascending order, up to `blocks`; holes are left out. */
export function* blockRuns(inode: ExtInode, how: Omit<Walk, "next" | "left">): Generator<BlockRun> {
  const walk: Walk = { ...how, next: 0, left: MAX_MAP_BLOCKS };
  const isExtents = (inode.flags & InodeFlag.EXTENTS) !== 0;
  yield* isExtents ? extents(walk, inode.map, MAX_DEPTH) : indirect(walk, inode.map);
}

/** A node of the tree of extents (struct ext4_extent_header, fs/ext4/ext4_extents.h). */
function* extents(walk: Walk, node: Uint8Array, maxDepth: number): Generator<BlockRun> {
  const count = u16(node, 2);
  const depth = u16(node, 6);
  const fits = ENTRY + count * ENTRY <= node.length;
  if (u16(node, 0) !== EXTENT_MAGIC || !fits || depth > maxDepth) {
    return stop(walk, "its tree of extents is damaged");
  }
  for (let index = 0; index < count && walk.next < walk.blocks; index++) {
    const at = ENTRY + index * ENTRY;
    if (depth === 0) {
      const run = extentAt(node, at);
      if (run.logical < walk.next) return stop(walk, "its extents overlap");
      walk.next = run.logical + run.count;
      yield run;
      continue;
    }
    const child = takeBlock(walk, u32(node, at + 4) + u16(node, at + 8) * 2 ** 32);
    if (child === undefined) return stop(walk, "a block of its extents cannot be read");
    yield* extents(walk, child, depth - 1);
  }
  return undefined;
}

function extentAt(node: Uint8Array, at: number): BlockRun {
  const length = u16(node, at + 4);
  const isWritten = length <= MAX_WRITTEN;
  const start = u32(node, at + 8) + u16(node, at + 6) * 2 ** 32;
  return {
    logical: u32(node, at),
    count: isWritten ? length : length - MAX_WRITTEN,
    physical: isWritten ? start : undefined,
  };
}

/** Twelve blocks, then a block of pointers, one of such blocks, and one of such again (ext2, ext3). */
function* indirect(walk: Walk, map: Uint8Array): Generator<BlockRun> {
  yield* pointers(walk, map.subarray(0, DIRECT * 4), 0);
  for (let level = 1; level <= 3; level++) {
    const at = (DIRECT + level - 1) * 4;
    yield* pointers(walk, map.subarray(at, at + 4), level);
  }
}

/** What is behind a list of pointers: blocks of the file (level 0), or further lists. */
function* pointers(walk: Walk, list: Uint8Array, level: number): Generator<BlockRun> {
  const span = (walk.blockSize / 4) ** level;
  for (let at = 0; at < list.length && walk.next < walk.blocks; at += 4) {
    const block = u32(list, at);
    if (block === 0) {
      walk.next += span;
    } else if (level === 0) {
      yield { logical: walk.next++, count: 1, physical: block };
    } else {
      const child = takeBlock(walk, block);
      if (child === undefined) return stop(walk, "a block of its map cannot be read");
      yield* pointers(walk, child, level - 1);
    }
  }
  return undefined;
}

/** Tells why, and ends the whole walk. */
function stop(walk: Walk, reason: string): void {
  walk.problem(reason);
  walk.next = Number.POSITIVE_INFINITY;
}

function takeBlock(walk: Walk, block: number): Uint8Array | undefined {
  return walk.left-- > 0 ? walk.read(block) : undefined;
}
