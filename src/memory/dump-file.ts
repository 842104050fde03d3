import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import type { Stats } from "node:fs";
import { KvmsecError, systemCode } from "../base/errors.ts";
import { dataExtents } from "../native/mmap.ts";
import type { Extent } from "../native/mmap.ts";
import type { ByteSource } from "./byte-source.ts";

/**
 * A dump on disk, read by position. It is never mapped: a file that shrinks under a mapping ends
 * the process with SIGBUS, here it only makes reads come back short.
 */
export class DumpFile implements ByteSource {
  readonly path: string;
  readonly size: number;
  readonly #opened: Stats;
  #fd: number;

  /** Throws KVMSEC_DUMP_MISSING, _UNREADABLE, _NOT_A_FILE or _EMPTY. */
  constructor(path: string) {
    this.path = path;
    this.#fd = open(path);
    try {
      this.#opened = fstatSync(this.#fd);
      this.size = this.#opened.size;
      check(path, this.#opened);
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  read(position: number, target: Uint8Array): number {
    let done = 0;
    while (done < target.length) {
      const got = this.#readOnce(position + done, target, done);
      if (got <= 0) break;
      done += got;
    }
    return done;
  }

  extents(): Extent[] {
    return dataExtents(this.#fd, this.size);
  }

  /** What the file was when it was opened. */
  get identity(): { dev: number; ino: number } {
    return this.#opened;
  }

  /** Whether its size or time of change is another one than when it was opened. */
  changed(): boolean {
    const now = fstatSync(this.#fd);
    return now.size !== this.#opened.size || now.mtimeMs !== this.#opened.mtimeMs;
  }

  [Symbol.dispose](): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #readOnce(position: number, target: Uint8Array, done: number): number {
    try {
      return readSync(this.#fd, target, done, target.length - done, position);
    } catch {
      // EIO of a bad disk, EBADF after disposal: the page is a fault, like any that is missing.
      return 0;
    }
  }
}

function open(path: string): number {
  try {
    // O_NONBLOCK, or a FIFO would hold us until somebody writes into it.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw openError(path, error);
  }
}

function openError(path: string, cause: unknown): KvmsecError {
  const code = systemCode(cause);
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new KvmsecError("KVMSEC_DUMP_MISSING", `There is no file ${path}.`, {
      cause,
      hint: "Check the path; a memory dump is given as file:PATH.",
    });
  }
  if (code === "EACCES" || code === "EPERM") {
    return new KvmsecError("KVMSEC_DUMP_UNREADABLE", `You may not read ${path}.`, {
      cause,
      hint: "QEMU makes its dumps readable for its own user only: run as that user or as root, or change the file's owner.",
    });
  }
  return new KvmsecError("KVMSEC_DUMP_UNREADABLE", `${path} cannot be opened: ${code}.`, {
    cause,
    hint: "Copy the dump to a local disk and try again.",
  });
}

function check(path: string, stats: Stats): void {
  if (stats.isDirectory()) {
    throw new KvmsecError("KVMSEC_DUMP_NOT_A_FILE", `${path} is a directory, not a memory dump.`, {
      hint: "Give the path of the dump file itself.",
    });
  }
  if (!stats.isFile()) {
    throw new KvmsecError("KVMSEC_DUMP_NOT_A_FILE", `${path} is not a regular file.`, {
      hint: "Copy what it delivers into a file first: a dump is read at random positions.",
    });
  }
  if (stats.size === 0) {
    throw new KvmsecError("KVMSEC_DUMP_EMPTY", `${path} is empty.`, {
      hint: "Make the dump again, and look for a full disk.",
    });
  }
}
