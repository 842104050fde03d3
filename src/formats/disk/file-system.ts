/** A file as its inode tells. */
export type DiskInode = {
  readonly number: number;
  /** Type and permissions, as st_mode. */
  readonly mode: number;
  readonly type: "file" | "directory" | "symlink" | "other";
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly links: number;
  /** When its content was changed last, in ms since 1970. */
  readonly modified: number;
  /** Tells it from earlier files of the same number. */
  readonly generation: number;
};

/**
 * A stretch of a file's content. Without bytes it reads as zeros: a hole, or room that was given to
 * the file and not written yet.
 */
export type DiskPiece = {
  readonly offset: number;
  readonly length: number;
  readonly bytes: Uint8Array | "hole" | "unwritten";
};

/** A name in a directory. */
export type DiskEntry = { readonly name: string; readonly inode: number };

export type Problem = (reason: string) => void;

/**
 * A file system as it lies on a disk. Nothing throws: everything may be damaged, or be written at
 * this moment. An inode is given only to the file system that it came from.
 */
export interface FileSystem {
  /** With dashes, as blkid shows it. */
  readonly uuid: string;
  readonly label: string;
  /** Number of the root's inode. */
  readonly root: number;
  /** Undefined where it is unused, cannot be read, or does not match its checksum. */
  inode(number: number): DiskInode | undefined;
  /** What a directory holds, `.` and `..` where they are kept. */
  entries(directory: DiskInode, problem: Problem): Generator<DiskEntry>;
  /** A file's content from its first byte to its last; ends early, with `problem` told. */
  pieces(inode: DiskInode, problem: Problem): Generator<DiskPiece>;
  /** Where a symbolic link leads; undefined where it is none, or cannot be read. */
  link(inode: DiskInode): string | undefined;
}

/** S_IFMT and its values (include/uapi/linux/stat.h). */
const TYPE_MASK = 0xf000;
const TYPES = new Map<number, DiskInode["type"]>([
  [0x4000, "directory"],
  [0x8000, "file"],
  [0xa000, "symlink"],
]);

/** The type in an st_mode. */
export function inodeType(mode: number): DiskInode["type"] {
  return TYPES.get(mode & TYPE_MASK) ?? "other";
}

/** Sixteen bytes as blkid and the kernel write them. */
export function uuidText(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString("hex");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
