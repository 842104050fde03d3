import type { GuestVirtual } from "../base/address.ts";
import { uuidText } from "../formats/disk/file-system.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

/** What a file in memory says of itself: enough to tell it on a disk from what it was before. */
export type FileIdentity = {
  /** Of the file system, as `8-4-4-4-12` hexadecimal digits. */
  readonly uuid: string;
  readonly inode: number;
  /** Another each time that the number is given out. */
  readonly generation: number;
  readonly size: number;
  /** Of the last change of its content, in ms since 1970. */
  readonly modified: number;
};

/** A file as it lies on a disk: SHA-256 of each page of 4 KiB, the last one filled with zeros. */
export type FileOnDisk = {
  /** Where it was found, for people. */
  readonly from: string;
  /** Undefined behind the end. */
  digest(page: number): Uint8Array | undefined;
};

/**
 * Finds files on the guest's disks, in the order they are asked for. A file whose generation, size
 * or time of change on the disk is another than in memory is on its way there, and is not given.
 */
export type FindFilesOnDisk = (
  files: readonly FileIdentity[],
) => readonly (FileOnDisk | { readonly missing: string })[];

const UUID_BYTES = 16;
const TYPE_NAME = 16;
const NANOSECONDS = 1_000_000;

/** Reads what identifies a file of an ext file system (struct inode, include/linux/fs.h). */
export class FileIdentities {
  readonly #kernel: Kernel;
  readonly #super: Reader;
  readonly #type: Reader;
  readonly #typeName: Reader;
  readonly #uuid: number;
  readonly #ino: Reader;
  readonly #generation: Reader;
  readonly #size: Reader;
  readonly #seconds: Reader;
  readonly #nanoseconds: Reader;

  /** Throws KVMSEC_TYPE_MISSING. */
  constructor(kernel: Kernel) {
    const inode = (...paths: readonly string[]): Reader =>
      kernel.readerOf("inode", ...paths) ?? kernel.reader("inode", paths[0]!);
    this.#kernel = kernel;
    this.#super = inode("i_sb");
    this.#type = kernel.reader("super_block", "s_type");
    this.#typeName = kernel.reader("file_system_type", "name");
    this.#uuid = kernel.offset("super_block", "s_uuid");
    this.#ino = inode("i_ino");
    this.#generation = inode("i_generation");
    this.#size = inode("i_size");
    // One struct until 6.10, and called __i_mtime from 6.7 on.
    this.#seconds = inode("i_mtime_sec", "__i_mtime.tv_sec", "i_mtime.tv_sec");
    this.#nanoseconds = inode("i_mtime_nsec", "__i_mtime.tv_nsec", "i_mtime.tv_nsec");
  }

  /** Undefined for a file of another file system, or where it cannot be read. */
  of(inode: GuestVirtual): FileIdentity | undefined {
    const block = this.#super(inode);
    const type = this.#kernel.space.string(this.#typeName(this.#type(block)), TYPE_NAME);
    const uuid = this.#kernel.space.bytes(block + this.#uuid, UUID_BYTES);
    if (uuid === undefined || !/^ext[234]$/.test(type ?? "")) return undefined;
    const identity = {
      uuid: uuidText(uuid),
      inode: this.#ino(inode),
      generation: this.#generation(inode),
      size: this.#size(inode),
      modified: this.#seconds(inode) * 1000 + Math.floor(this.#nanoseconds(inode) / NANOSECONDS),
    };
    const { inode: number, generation, size, modified } = identity;
    return Number.isFinite(number + generation + size + modified) ? identity : undefined;
  }
}
