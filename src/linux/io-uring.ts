import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

/** Files that one ring may have registered (IORING_MAX_FIXED_FILES in io_uring/rsrc.h). */
const MAX_FIXED_FILES = 2 ** 20;
/** Files of one table of the two-level form (IORING_MAX_FILES_TABLE in fs/io_uring.c before 5.15). */
const FILES_PER_TABLE = 512;
/** A registered file's pointer has flags in its low bits (FFS_MASK; IO_REGFILE_SHIFT since 6.9). */
const FLAG_BITS = 8;

/** A file in the table of an io_uring. */
export type RegisteredFile = {
  /** Place in the table. */
  readonly slot: number;
  /** The `struct file`. */
  readonly file: GuestVirtual;
};

type Table = { readonly count: number; readonly at: (slot: number) => GuestVirtual };

/**
 * Reads the files that are registered with an io_uring (io_uring/rsrc.c, filetable.c): they stay
 * open and in use although no table of descriptors has them any more.
 */
export class Rings {
  readonly #kernel: Kernel;
  readonly #operations: GuestVirtual;
  readonly #fileOperations: Reader;
  readonly #context: Reader;
  readonly #table: ((context: GuestVirtual) => Table) | undefined;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#operations = kernel.symbol("io_uring_fops");
    this.#fileOperations = kernel.reader("file", "f_op");
    this.#context = kernel.reader("file", "private_data");
    this.#table = tableReader(kernel);
  }

  isRing(file: GuestVirtual): boolean {
    return this.#fileOperations(file) === this.#operations;
  }

  /** The files registered with a ring; `problem` hears of a table that cannot be read. */
  *registered(
    ring: GuestVirtual,
    budget: Budget,
    problem: (reason: string) => void,
  ): Generator<RegisteredFile> {
    const unreadable = `the files of the io_uring at ${this.#kernel.format(ring)} cannot be read`;
    const table = this.#table?.(this.#context(ring));
    if (table === undefined || !(table.count <= MAX_FIXED_FILES)) return problem(unreadable);
    for (let slot = 0; slot < table.count; slot++) {
      if (!budget.step()) return problem(unreadable);
      const file = table.at(slot);
      if (file < 0) yield { slot, file };
    }
    return undefined;
  }
}

/** The layout that this kernel has, newest first; undefined for one of the few between 5.11 and 5.14. */
function tableReader(kernel: Kernel): ((context: GuestVirtual) => Table) | undefined {
  if (kernel.types.has("io_file_table", "data")) return nodeTables(kernel);
  if (kernel.types.has("io_fixed_file", "file_ptr")) return flatTables(kernel);
  return kernel.types.has("fixed_file_table", "files") ? twoLevelTables(kernel) : undefined;
}

/** Since 6.13: an array of pointers to `struct io_rsrc_node`. */
function nodeTables(kernel: Kernel): (context: GuestVirtual) => Table {
  const count = kernel.reader("io_ring_ctx", "file_table.data.nr");
  const nodes = kernel.reader("io_ring_ctx", "file_table.data.nodes");
  const file = kernel.addressReader("io_rsrc_node", "file_ptr");
  return (context) => {
    const array = nodes(context);
    const at = (slot: number) => withoutFlags(file(kernel.space.pointer(array + slot * 8)));
    return { count: count(context), at };
  };
}

/** 5.15 to 6.12: an array of `struct io_fixed_file`. */
function flatTables(kernel: Kernel): (context: GuestVirtual) => Table {
  const count = kernel.reader("io_ring_ctx", "nr_user_files");
  const files = kernel.reader("io_ring_ctx", "file_table.files");
  const file = kernel.addressReader("io_fixed_file", "file_ptr");
  const size = kernel.types.size("io_fixed_file");
  return (context) => {
    const array = files(context);
    return { count: count(context), at: (slot) => withoutFlags(file(array + slot * size)) };
  };
}

/** 5.10: tables of 512 pointers each. */
function twoLevelTables(kernel: Kernel): (context: GuestVirtual) => Table {
  const count = kernel.reader("io_ring_ctx", "nr_user_files");
  const data = kernel.reader("io_ring_ctx", "file_data");
  const tables = kernel.reader("fixed_file_data", "table");
  const files = kernel.reader("fixed_file_table", "files");
  const size = kernel.types.size("fixed_file_table");
  return (context) => {
    const first = tables(data(context));
    const at = (slot: number): GuestVirtual => {
      const table = files(first + Math.floor(slot / FILES_PER_TABLE) * size);
      return kernel.space.pointer(table + (slot % FILES_PER_TABLE) * 8);
    };
    return { count: count(context), at };
  };
}

function withoutFlags(pointer: GuestVirtual): GuestVirtual {
  return Math.floor(pointer / FLAG_BITS) * FLAG_BITS;
}
