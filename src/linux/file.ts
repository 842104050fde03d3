import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { Paths } from "./path.ts";

/** File types of `i_mode` (include/uapi/linux/stat.h), as `find -type` and `stat` tell them apart. */
const TYPES: Readonly<Record<number, FileType>> = {
  0x1: "fifo",
  0x2: "char",
  0x4: "directory",
  0x6: "block",
  0x8: "file",
  0xa: "link",
  0xc: "socket",
};
const TYPE_SHIFT = 12;
/**
 * ANON_INODE_FS_MAGIC and PID_FS_MAGIC (include/uapi/linux/magic.h). The inodes of pidfs (6.9), since
 * 6.16 also the anonymous ones, call themselves files but to stat(2).
 */
const ANONYMOUS = new Set([0x0904_1934, 0x5049_4446]);
/**
 * FMODE_BACKING (include/linux/fs.h, since 6.5): the file on the layer below, with the overlay's
 * path beside it. Bit 25 first, bit 24 since 6.14; each means something else in other releases.
 */
const FMODE_BACKING = (1 << 25) | (1 << 24);
const MINOR_BITS = 20;

export type FileType =
  | "anon_inode"
  | "block"
  | "char"
  | "directory"
  | "fifo"
  | "file"
  | "link"
  | "socket"
  | "unknown";

/** The inode behind an open file, as `stat` shows it. */
export type InodeIdentity = {
  /** `major:minor` in hexadecimal, as /proc/PID/maps has it. */
  readonly device: string;
  readonly inode: number;
};

/** Decodes `struct file` (include/linux/fs.h). */
export class Files {
  readonly paths: Paths;
  readonly flags: Reader;
  readonly mode: Reader;
  readonly position: Reader;
  readonly operations: Reader;
  readonly privateData: Reader;
  readonly inode: Reader;
  readonly #path: number;
  readonly #userPath: number | undefined;
  readonly #inodeMode: Reader;
  readonly #ino: Reader;
  readonly #superBlock: Reader;
  readonly #device: Reader;
  readonly #magic: Reader;
  readonly #mountId: Reader;

  constructor(kernel: Kernel, paths: Paths = new Paths(kernel)) {
    this.paths = paths;
    this.flags = kernel.reader("file", "f_flags");
    this.mode = kernel.reader("file", "f_mode");
    this.position = kernel.reader("file", "f_pos");
    this.operations = kernel.reader("file", "f_op");
    this.privateData = kernel.reader("file", "private_data");
    this.inode = kernel.reader("file", "f_inode");
    this.#path = kernel.offset("file", "f_path");
    this.#userPath = kernel.types.member("backing_file", "user_path")?.offset;
    this.#inodeMode = kernel.reader("inode", "i_mode");
    this.#ino = kernel.reader("inode", "i_ino");
    this.#superBlock = kernel.reader("inode", "i_sb");
    this.#device = kernel.reader("super_block", "s_dev");
    this.#magic = kernel.reader("super_block", "s_magic");
    this.#mountId = kernel.reader("mount", "mnt_id");
  }

  /** The path as /proc/PID/fd shows it: `socket:[123]`, `/tmp/x (deleted)`, `anon_inode:[eventfd]`. */
  path(file: GuestVirtual): string | undefined {
    return this.paths.text(file + this.#path);
  }

  /** The path that a mapping of the file shows: on a stacked filesystem the upper one (file_user_path). */
  userPath(file: GuestVirtual): string | undefined {
    return this.paths.text(file + this.#userPathOffset(file));
  }

  /** The inode that a mapping of the file shows (file_user_inode). */
  userInode(file: GuestVirtual): GuestVirtual {
    const offset = this.#userPathOffset(file);
    if (offset === this.#path) return this.inode(file);
    return this.paths.inode(this.paths.dentry(file + offset));
  }

  identity(inode: GuestVirtual): InodeIdentity {
    return { device: deviceText(this.#device(this.#superBlock(inode))), inode: this.#ino(inode) };
  }

  type(inode: GuestVirtual): FileType {
    if (ANONYMOUS.has(this.#magic(this.#superBlock(inode)))) return "anon_inode";
    const mode = this.#inodeMode(inode);
    if (mode !== mode) return "unknown";
    return TYPES[mode >>> TYPE_SHIFT] ?? "anon_inode";
  }

  /** Of the mount that it was opened through, as in /proc/PID/mountinfo. */
  mountId(file: GuestVirtual): number {
    return this.#mountId(this.paths.mount(file + this.#path));
  }

  /** The path beside a backing file is one only if its mount and its dentry are of one filesystem. */
  #userPathOffset(file: GuestVirtual): number {
    if (this.#userPath === undefined) return this.#path;
    if ((this.mode(file) & FMODE_BACKING) === 0) return this.#path;
    return this.paths.sound(file + this.#userPath) ? this.#userPath : this.#path;
  }
}

/** `08:01`; the kernel's own dev_t has 20 bits of minor (include/linux/kdev_t.h). */
export function deviceText(device: number): string {
  if (device !== device) return "?";
  const minor = device & ((1 << MINOR_BITS) - 1);
  return `${pair(device >>> MINOR_BITS)}:${pair(minor)}`;
}

function pair(value: number): string {
  return value.toString(16).padStart(2, "0");
}
