import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { FdTables } from "./fd-table.ts";
import type { Descriptor } from "./fd-table.ts";
import { Files } from "./file.ts";
import type { FileType } from "./file.ts";
import type { Kernel } from "./kernel.ts";

/** An open file of a process, as /proc/PID/fd and /proc/PID/fdinfo tell it. */
export type OpenFile = {
  readonly fd: number;
  readonly type: FileType;
  /** `/etc/passwd`, `socket:[123]`, `anon_inode:[eventfd]`, `/tmp/x (deleted)`. */
  readonly path: string | undefined;
  readonly access: "none" | "path" | "r" | "rw" | "w";
  /** As open(2) takes them, O_CLOEXEC among them; as in fdinfo. */
  readonly flags: number;
  readonly position: number;
  readonly device: string;
  readonly inode: number;
  readonly mountId: number;
  /** The struct file. */
  readonly file: GuestVirtual;
};

/** include/uapi/asm-generic/fcntl.h */
const O_ACCMODE = 3;
const O_CLOEXEC = 0o2000000;
const O_PATH = 0o10000000;
const ACCESS = ["r", "w", "rw", "none"] as const;

/** Reads open files. */
export class OpenFiles {
  readonly files: Files;
  readonly #tables: FdTables;

  constructor(kernel: Kernel, files: Files = new Files(kernel)) {
    this.files = files;
    this.#tables = new FdTables(kernel);
  }

  /** The open files behind a `files_struct`, by descriptor. */
  *all(
    filesStruct: GuestVirtual,
    budget: Budget,
    problem?: (reason: string) => void,
  ): Generator<OpenFile, void, undefined> {
    for (const descriptor of this.#tables.descriptors(filesStruct, budget, problem)) {
      yield this.decode(descriptor);
    }
  }

  /** One open file; faults show as NaN. */
  decode({ fd, file, closeOnExec }: Descriptor): OpenFile {
    const { files } = this;
    const inode = files.inode(file);
    const flags = files.flags(file);
    return {
      fd,
      type: files.type(inode),
      path: files.path(file),
      access: (flags & O_PATH) === 0 ? ACCESS[flags & O_ACCMODE]! : "path",
      flags: closeOnExec ? (flags | O_CLOEXEC) >>> 0 : flags,
      position: files.position(file),
      ...files.identity(inode),
      mountId: files.mountId(file),
      file,
    };
  }
}
