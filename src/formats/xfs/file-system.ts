import { CachedDisk } from "../disk/block-cache.ts";
import { diskBytes } from "../disk/disk-bytes.ts";
import type { DiskBytes } from "../disk/disk-bytes.ts";
import type { DiskEntry, DiskPiece, FileSystem, Problem } from "../disk/file-system.ts";
import { piecesOf } from "../disk/stretches.ts";
import type { Stretch } from "../disk/stretches.ts";
import { blockEntries, shortEntries } from "./directory.ts";
import { xfsRuns } from "./extents.ts";
import { decodeXfsInode } from "./inode.ts";
import type { XfsInode } from "./inode.ts";
import { parseXfsSuperblock } from "./superblock.ts";
import type { XfsSuperblock } from "./superblock.ts";

const CACHE_BLOCK = 4096;
const CACHE_BLOCKS = 2048;
const MAX_PIECE = 2 ** 20;
const MAX_LINK = 4096;
/** Behind this a directory keeps its hash tree and its lists of free room (XFS_DIR2_LEAF_OFFSET). */
const DIRECTORY_END = 2 ** 35;
const MAX_DIRECTORY = 64 * 2 ** 20;
/** "XSLM": a block of a long symbolic link, and how long its head is (struct xfs_dsymlink_hdr). */
const LINK_MAGIC = 0x58534c4d;
const LINK_HEAD = 56;

/**
 * An XFS file system of version 4 or 5, read as it lies on the disk (XFS Algorithms & Data
 * Structures). What its log holds and has not been put in place is not seen, nor are files of a
 * real-time device. Nothing throws.
 */
export class XfsFileSystem implements FileSystem {
  readonly superblock: XfsSuperblock;
  readonly #volume: DiskBytes;
  readonly #metadata: CachedDisk;

  private constructor(volume: DiskBytes, superblock: XfsSuperblock) {
    this.superblock = superblock;
    this.#volume = volume;
    this.#metadata = new CachedDisk(volume, CACHE_BLOCK, CACHE_BLOCKS);
  }

  /** A reason where the volume holds none that can be read. */
  static open(volume: DiskBytes): XfsFileSystem | string {
    const superblock = parseXfsSuperblock(volume);
    return typeof superblock === "string" ? superblock : new XfsFileSystem(volume, superblock);
  }

  get uuid(): string {
    return this.superblock.uuid;
  }

  get label(): string {
    return this.superblock.label;
  }

  get root(): number {
    return this.superblock.root;
  }

  /** A number says where the inode lies: group, block in it, place in the block. */
  inode(number: number): XfsInode | undefined {
    const { inodeBits, inodeSize } = this.superblock;
    const place = number % 2 ** inodeBits;
    const position = this.#positionOf(Math.floor(number / 2 ** inodeBits));
    if (position === undefined) return undefined;
    const bytes = diskBytes(this.#metadata, position + place * inodeSize, inodeSize);
    return bytes && decodeXfsInode(number, bytes);
  }

  *entries(directory: XfsInode, problem: Problem): Generator<DiskEntry> {
    const { hasTypes } = this.superblock;
    if (directory.format === "local") {
      const isWhole = yield* shortEntries(directory.fork, hasTypes);
      if (!isWhole) problem("the directory in its inode is damaged");
      return;
    }
    for (const block of this.#directoryBlocks(directory, problem)) {
      const isWhole = yield* blockEntries(block, hasTypes);
      if (!isWhole) problem("a block of the directory is damaged");
    }
  }

  *pieces(inode: XfsInode, problem: Problem): Generator<DiskPiece> {
    if (!Number.isSafeInteger(inode.size)) return problem("its size is impossible");
    if (inode.format === "local") {
      if (inode.size > inode.fork.length) return problem("its content in the inode is damaged");
      yield { offset: 0, length: inode.size, bytes: inode.fork.subarray(0, inode.size) };
      return undefined;
    }
    return yield* piecesOf(
      this.#volume,
      inode.size,
      (told) => this.#stretches(inode, inode.size, told),
      problem,
    );
  }

  link(inode: XfsInode): string | undefined {
    if (inode.type !== "symlink" || !(inode.size <= MAX_LINK)) return undefined;
    if (inode.format === "local") return inode.fork.toString("utf8", 0, inode.size);
    // Its blocks have heads, so that they hold more than its size says.
    const chunks: Buffer[] = [];
    let isWhole = true;
    const blocks = this.#stretches(inode, 2 * MAX_LINK + 16 * LINK_HEAD, () => (isWhole = false));
    for (const { length, position } of blocks) {
      const bytes =
        position === undefined ? undefined : diskBytes(this.#metadata, position, length);
      if (bytes === undefined) return undefined;
      const { blockSize } = this.superblock;
      for (let at = 0; at < bytes.length; at += blockSize) {
        const block = Buffer.from(bytes.subarray(at, at + blockSize));
        const hasHead = block.length > LINK_HEAD && block.readUInt32BE(0) === LINK_MAGIC;
        chunks.push(hasHead ? block.subarray(LINK_HEAD) : block);
      }
    }
    const whole = Buffer.concat(chunks);
    return isWhole && whole.length >= inode.size
      ? whole.toString("utf8", 0, inode.size)
      : undefined;
  }

  *#directoryBlocks(directory: XfsInode, problem: Problem): Generator<Buffer> {
    const { directoryBlockSize: size } = this.superblock;
    const whole = Math.min(directory.size, DIRECTORY_END);
    if (!(whole <= MAX_DIRECTORY)) return problem("the directory is too large");
    let filled = Buffer.alloc(size);
    let next = 0;
    for (const { offset, length, position } of this.#stretches(directory, whole, problem)) {
      const bytes =
        position === undefined ? undefined : diskBytes(this.#metadata, position, length);
      if (bytes === undefined) return problem("a block of the directory cannot be read");
      for (let at = 0; at < bytes.length;) {
        const within = (offset + at) % size;
        // A block of the directory may lie in several runs; one whose start is missing is left out.
        if (within !== 0 && offset + at !== next) break;
        const part = bytes.subarray(at, at + size - within);
        filled.set(part, within);
        at += part.length;
        next = offset + at;
        if (next % size !== 0) continue;
        yield filled;
        filled = Buffer.alloc(size);
      }
    }
    return undefined;
  }

  /** A file's runs as bytes, at most 1 MiB each, up to `end`. */
  *#stretches(inode: XfsInode, end: number, problem: Problem): Generator<Stretch> {
    const { blockSize } = this.superblock;
    const read = (block: number): Buffer | undefined => {
      const position = this.#positionOf(block);
      const bytes =
        position === undefined ? undefined : diskBytes(this.#metadata, position, blockSize);
      return bytes && Buffer.from(bytes.buffer);
    };
    for (const { logical, count, block } of xfsRuns(inode, read, problem)) {
      const start = logical * blockSize;
      if (start >= end) return;
      const position = block === undefined ? undefined : this.#positionOf(block);
      if (block !== undefined && position === undefined) return problem("a block lies outside");
      const stop = Math.min(start + count * blockSize, end);
      for (let offset = start; offset < stop; offset += MAX_PIECE) {
        const length = Math.min(MAX_PIECE, stop - offset);
        yield { offset, length, position: position && position + offset - start };
      }
    }
    return undefined;
  }

  /** Byte of a block: its number's high bits are the group, the low ones the block in it. */
  #positionOf(block: number): number | undefined {
    const { groupBits, groupBlocks, groups, blockSize } = this.superblock;
    const group = Math.floor(block / 2 ** groupBits);
    const within = block % 2 ** groupBits;
    if (!(group < groups && within < groupBlocks)) return undefined;
    return (group * groupBlocks + within) * blockSize;
  }
}
