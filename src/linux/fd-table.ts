import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

/** What `sysctl_nr_open` (fs/file.c) is unless somebody raises it. */
const NR_OPEN = 2 ** 20;
const WORD_BITS = 32;

/** One entry of a table of file descriptors. */
export type Descriptor = {
  readonly fd: number;
  readonly closeOnExec: boolean;
  /** The `struct file`. */
  readonly file: GuestVirtual;
};

/** Reads `struct files_struct` and `struct fdtable` (include/linux/fdtable.h). */
export class FdTables {
  readonly #kernel: Kernel;
  readonly #table: Reader;
  readonly #max: Reader;
  readonly #files: Reader;
  readonly #open: Reader;
  readonly #closeOnExec: Reader;
  readonly #most: number;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#table = kernel.reader("files_struct", "fdt");
    this.#max = kernel.reader("fdtable", "max_fds");
    this.#files = kernel.reader("fdtable", "fd");
    this.#open = kernel.reader("fdtable", "open_fds");
    this.#closeOnExec = kernel.reader("fdtable", "close_on_exec");
    this.#most = kernel.space.u32(kernel.symbol("sysctl_nr_open")) || NR_OPEN;
  }

  /** Open descriptors, ascending; one that is only reserved yet (no file) is left out. */
  *descriptors(
    filesStruct: GuestVirtual,
    budget: Budget,
    problem?: (reason: string) => void,
  ): Generator<Descriptor> {
    for (const descriptor of this.#taken(filesStruct, budget, problem)) {
      if (descriptor.file < 0) yield descriptor;
    }
  }

  /**
   * Whether a number is taken that leads to no file yet: whoever opens a file or accepts a connection
   * takes it first (get_unused_fd_flags), and puts the file there last (fd_install in fs/file.c).
   */
  hasReserved(filesStruct: GuestVirtual, budget: Budget): boolean {
    return this.#taken(filesStruct, budget).some(({ file }) => file === 0);
  }

  *#taken(
    filesStruct: GuestVirtual,
    budget: Budget,
    problem?: (reason: string) => void,
  ): Generator<Descriptor> {
    const { space } = this.#kernel;
    const table = this.#table(filesStruct);
    const max = this.#max(table);
    const files = this.#files(table);
    const open = this.#open(table);
    const closeOnExec = this.#closeOnExec(table);
    const unreadable = `the descriptors at ${this.#kernel.format(filesStruct)} cannot be read`;
    if (!(max <= this.#most && files < 0 && open < 0)) return problem?.(unreadable);
    for (let first = 0; first < max; first += WORD_BITS) {
      if (!budget.step()) return problem?.(`${unreadable} to their end`);
      let bits = space.u32(open + first / 8);
      if (bits !== bits) return problem?.(unreadable);
      const closing = space.u32(closeOnExec + first / 8);
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits & -bits);
        bits = (bits & (bits - 1)) >>> 0;
        const file = space.pointer(files + (first + bit) * 8);
        if (!budget.step()) return problem?.(`${unreadable} to their end`);
        yield { fd: first + bit, closeOnExec: ((closing >>> bit) & 1) === 1, file };
      }
    }
    return undefined;
  }
}
