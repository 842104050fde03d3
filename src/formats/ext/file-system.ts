import { continueCrc32c } from "../crc32c.ts";
import { CachedDisk } from "../disk/block-cache.ts";
import { diskBytes } from "../disk/disk-bytes.ts";
import type { DiskBytes } from "../disk/disk-bytes.ts";
import type { DiskEntry, DiskPiece, FileSystem, Problem } from "../disk/file-system.ts";
import { piecesOf } from "../disk/stretches.ts";
import type { Stretch } from "../disk/stretches.ts";
import { u16, u32 } from "../little-endian.ts";
import { blockRuns } from "./block-map.ts";
import { directoryEntries } from "./directory.ts";
import { inlineData } from "./inline-data.ts";
import { BASE_SIZE, InodeFlag, MAP_SIZE, decodeInode } from "./inode.ts";
import type { ExtInode } from "./inode.ts";
import {
  Compatible,
  Incompatible,
  ReadOnlyCompatible,
  SUPERBLOCK_OFFSET,
  parseExtSuperblock,
} from "./superblock.ts";
import type { ExtSuperblock } from "./superblock.ts";

/** EXT4_ROOT_INO. */
const ROOT_INODE = 2;
const CACHE_BLOCK = 4096;
const CACHE_BLOCKS = 2048;
const MAX_DIRECTORY = 64 * 2 ** 20;
const MAX_PIECE = 2 ** 20;
/** PATH_MAX. */
const MAX_LINK = 4096;

/**
 * An ext2, ext3 or ext4 file system, read as it lies on the disk (Documentation/filesystems/ext4).
 * What its journal holds and has not been put in place is not seen. Nothing throws: everything in
 * it may be damaged, or be written at this moment.
 */
export class ExtFileSystem implements FileSystem {
  readonly root = ROOT_INODE;
  readonly superblock: ExtSuperblock;
  readonly #volume: DiskBytes;
  readonly #metadata: CachedDisk;
  readonly #seed: number | undefined;

  private constructor(volume: DiskBytes, superblock: ExtSuperblock) {
    this.superblock = superblock;
    this.#volume = volume;
    this.#metadata = new CachedDisk(volume, CACHE_BLOCK, CACHE_BLOCKS);
    const from = superblock.checksumSeed;
    if (from !== undefined) {
      this.#seed = "seed" in from ? from.seed : continueCrc32c(0xffffffff, from.uuid);
    }
  }

  get uuid(): string {
    return this.superblock.uuid;
  }

  get label(): string {
    return this.superblock.label;
  }

  /** A reason where the volume holds none that can be read. */
  static open(volume: DiskBytes): ExtFileSystem | string {
    const superblock = parseExtSuperblock(volume);
    return typeof superblock === "string" ? superblock : new ExtFileSystem(volume, superblock);
  }

  /** Undefined where it is unused, cannot be read, or does not match its checksum. */
  inode(number: number): ExtInode | undefined {
    const { inodesPerGroup, inodes, inodeSize, blockSize } = this.superblock;
    if (!(number >= 1 && number <= inodes)) return undefined;
    const table = this.#inodeTable(Math.floor((number - 1) / inodesPerGroup));
    if (table === undefined) return undefined;
    const at = table * blockSize + ((number - 1) % inodesPerGroup) * inodeSize;
    const bytes = diskBytes(this.#metadata, at, inodeSize);
    if (bytes === undefined || !this.#isIntact(number, bytes)) return undefined;
    return decodeInode(number, bytes);
  }

  /** What a directory holds, `.` and `..` included. */
  *entries(directory: ExtInode, problem: Problem): Generator<DiskEntry> {
    if ((directory.flags & InodeFlag.ENCRYPT) !== 0) return problem("its names are encrypted");
    const hasTypes = (this.superblock.incompatible & Incompatible.FILETYPE) !== 0;
    for (const block of this.#directoryBlocks(directory, problem)) {
      const isWhole = yield* directoryEntries(block, hasTypes);
      if (!isWhole) problem("a block of the directory is damaged");
    }
    return undefined;
  }

  /**
   * The content of a file from its first byte to its last. Ends early, with `problem` told, where
   * the rest cannot be read.
   */
  *pieces(inode: ExtInode, problem: Problem): Generator<DiskPiece> {
    if ((inode.flags & InodeFlag.ENCRYPT) !== 0) return problem("its content is encrypted");
    if (!Number.isSafeInteger(inode.size)) return problem("its size is impossible");
    if ((inode.flags & InodeFlag.INLINE_DATA) !== 0) {
      const bytes = inlineData(inode);
      if (bytes === undefined) return problem("its content in the inode is damaged");
      yield { offset: 0, length: bytes.length, bytes };
      return undefined;
    }
    return yield* piecesOf(
      this.#volume,
      inode.size,
      (told) => this.#stretches(inode, told),
      problem,
    );
  }

  /** Where a symbolic link leads; undefined where it is none, or cannot be read. */
  link(inode: ExtInode): string | undefined {
    if (inode.type !== "symlink" || !(inode.size <= MAX_LINK)) return undefined;
    if ((inode.flags & (InodeFlag.INLINE_DATA | InodeFlag.ENCRYPT)) === 0 && this.#isFast(inode)) {
      return Buffer.from(inode.map.subarray(0, inode.size)).toString("utf8");
    }
    let isWhole = true;
    const pieces = Array.from(this.pieces(inode, () => (isWhole = false)));
    const [piece] = pieces;
    if (!isWhole || pieces.length !== 1 || typeof piece.bytes === "string") return undefined;
    return Buffer.from(piece.bytes).toString("utf8");
  }

  /** A short link lies where the map of blocks would be (ext4_inode_is_fast_symlink). */
  #isFast(inode: ExtInode): boolean {
    const attributes = inode.hasAttributeBlock ? this.superblock.blockSize / 512 : 0;
    const isExtents = (inode.flags & InodeFlag.EXTENTS) !== 0;
    return inode.size < MAP_SIZE && !isExtents && inode.blocks <= attributes;
  }

  *#directoryBlocks(directory: ExtInode, problem: Problem): Generator<Uint8Array> {
    if ((directory.flags & InodeFlag.INLINE_DATA) !== 0) {
      const bytes = inlineData(directory);
      if (bytes === undefined) return problem("the directory in its inode is damaged");
      // The parent's number, then entries in the map's place, and as a second block those behind.
      yield bytes.subarray(4, MAP_SIZE);
      if (bytes.length > MAP_SIZE) yield bytes.subarray(MAP_SIZE);
      return undefined;
    }
    if (directory.size > MAX_DIRECTORY) return problem("the directory is too large");
    const { blockSize } = this.superblock;
    for (const { bytes } of this.pieces(directory, problem)) {
      const there = typeof bytes === "string" ? new Uint8Array(0) : bytes;
      for (let at = 0; at < there.length; at += blockSize) yield there.subarray(at, at + blockSize);
    }
    return undefined;
  }

  /** A file's runs of blocks as bytes, at most 1 MiB each, cut at its end. */
  *#stretches(inode: ExtInode, problem: Problem): Generator<Stretch> {
    const { blockSize } = this.superblock;
    const blocks = Math.ceil(inode.size / blockSize);
    const read = (block: number) => this.#block(block);
    for (const run of blockRuns(inode, { blocks, blockSize, read, problem })) {
      const start = run.logical * blockSize;
      const end = Math.min(start + run.count * blockSize, inode.size);
      for (let offset = start; offset < end; offset += MAX_PIECE) {
        const length = Math.min(MAX_PIECE, end - offset);
        const physical = run.physical === undefined ? undefined : run.physical * blockSize;
        const position = physical === undefined ? undefined : physical + offset - start;
        yield { offset, length, position };
      }
    }
  }

  #block(number: number): Uint8Array | undefined {
    const { blockSize, blocks } = this.superblock;
    if (!(number > 0 && number < blocks)) return undefined;
    return diskBytes(this.#metadata, number * blockSize, blockSize);
  }

  /** First block of a group's inodes (struct ext4_group_desc). */
  #inodeTable(group: number): number | undefined {
    const { blockSize, descriptorSize } = this.superblock;
    const perBlock = Math.floor(blockSize / descriptorSize);
    const block = this.#descriptorBlock(Math.floor(group / perBlock));
    const at = block * blockSize + (group % perBlock) * descriptorSize;
    const bytes = diskBytes(this.#metadata, at, descriptorSize);
    if (bytes === undefined) return undefined;
    const high = descriptorSize >= 64 ? u32(bytes, 0x28) : 0;
    return u32(bytes, 8) + high * 2 ** 32;
  }

  /** Behind the head, or with META_BG in the first group of those that it describes. */
  #descriptorBlock(index: number): number {
    const head = this.superblock;
    const isMeta = (head.incompatible & Incompatible.META_BG) !== 0;
    const headBlock = Math.floor(SUPERBLOCK_OFFSET / head.blockSize);
    if (!isMeta || index < head.firstMetaGroup) return headBlock + 1 + index;
    const group = index * Math.floor(head.blockSize / head.descriptorSize);
    const first = head.firstDataBlock + group * head.blocksPerGroup;
    // A file system of 1 KiB blocks without a first block of its own keeps the head in block 1.
    const isShifted = head.blockSize === 1024 && group === 0 && head.firstDataBlock === 0;
    return first + (this.#hasCopy(group) ? 1 : 0) + (isShifted ? 1 : 0);
  }

  /** Whether a group begins with a copy of the head (ext4_bg_has_super). */
  #hasCopy(group: number): boolean {
    const { compatible, readOnlyCompatible, backupGroups } = this.superblock;
    if (group === 0) return true;
    if ((compatible & Compatible.SPARSE_SUPER2) !== 0) return backupGroups.includes(group);
    const isSparse = (readOnlyCompatible & ReadOnlyCompatible.SPARSE_SUPER) !== 0;
    return !isSparse || group === 1 || [3, 5, 7].some((base) => isPower(group, base));
  }

  /** The inode's own checksum (ext4_inode_csum). */
  #isIntact(number: number, bytes: Uint8Array): boolean {
    if (this.#seed === undefined) return true;
    const copy = Uint8Array.from(bytes);
    const hasHigh = bytes.length > BASE_SIZE && u16(bytes, 0x80) >= 0x84 - BASE_SIZE;
    copy.fill(0, 0x7c, 0x7e);
    if (hasHigh) copy.fill(0, 0x82, 0x84);
    const words = Uint32Array.of(number, u32(bytes, 0x64));
    const crc = continueCrc32c(continueCrc32c(this.#seed, new Uint8Array(words.buffer)), copy);
    const stored = u16(bytes, 0x7c) + (hasHigh ? u16(bytes, 0x82) * 2 ** 16 : 0);
    return stored === (hasHigh ? crc : crc & 0xffff);
  }
}

function isPower(value: number, base: number): boolean {
  let power = base;
  while (power < value) power *= base;
  return power === value;
}
