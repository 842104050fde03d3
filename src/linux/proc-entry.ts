import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { rbEntries } from "./rb-tree.ts";

/** A table or function that an entry of /proc leads to. */
export type ProcPointer = {
  readonly path: string;
  /** `proc_ops`, `file_operations`, `inode_operations`, `dentry_operations`, `seq_operations`, or `show` for a single function. */
  readonly role: string;
  readonly slot: GuestVirtual;
  readonly value: GuestVirtual;
};

type Problem = (reason: string) => void;

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const MAX_DEPTH = 16;
const MAX_NAME = 256;
/** Tables that are followed by `seq_ops`, and by `single_show` (fs/proc/generic.c, proc_net.c). */
const SEQUENCE = ["proc_seq_ops", "proc_net_seq_ops"];
const SINGLE = ["proc_single_ops", "proc_net_single_ops"];

/** Walks the entries of /proc that modules and subsystems register (struct proc_dir_entry, fs/proc/internal.h). */
export class ProcEntries {
  readonly #kernel: Kernel;
  readonly #children: number;
  readonly #link: number;
  readonly #name: Reader;
  readonly #mode: Reader;
  /** Since 5.6 files have `proc_ops`; before, all had `file_operations` (d56c0d45f0e2). */
  readonly #operations: string;
  readonly #sequence: ReadonlySet<GuestVirtual>;
  readonly #single: ReadonlySet<GuestVirtual>;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#children = kernel.offset("proc_dir_entry", "subdir");
    this.#link = kernel.offset("proc_dir_entry", "subdir_node");
    this.#name = kernel.reader("proc_dir_entry", "name");
    this.#mode = kernel.reader("proc_dir_entry", "mode");
    this.#operations = kernel.types.has("proc_dir_entry", "proc_ops") ? "proc_ops" : "proc_fops";
    this.#sequence = new Set(SEQUENCE.map((name) => kernel.symbol(name)));
    this.#single = new Set(SINGLE.map((name) => kernel.symbol(name)));
  }

  /** Everything below the entry, which `path` names. */
  *below(
    entry: GuestVirtual,
    path: string,
    budget: Budget,
    problem: Problem,
    seen: Set<GuestVirtual> = new Set(),
    depth = 0,
  ): Generator<ProcPointer> {
    // A circle would multiply with each level.
    if (seen.has(entry)) return problem("a folder of /proc hangs in several places");
    seen.add(entry);
    yield* this.#pointers(entry, path === "" ? "/proc" : path);
    if (depth > MAX_DEPTH) return problem("folders of /proc are nested too deeply");
    const children = rbEntries(this.#kernel, entry + this.#children, this.#link, budget, problem);
    for (const child of children) {
      const name = this.#kernel.space.string(this.#name(child), MAX_NAME) ?? "?";
      const inside = `${path === "" ? "/proc" : path}/${name}`;
      if ((this.#mode(child) & S_IFMT) === S_IFDIR) {
        yield* this.below(child, inside, budget, problem, seen, depth + 1);
      } else yield* this.#pointers(child, inside);
    }
    return undefined;
  }

  *#pointers(entry: GuestVirtual, path: string): Generator<ProcPointer> {
    const kind = this.#mode(entry) & S_IFMT;
    const directory = kind === S_IFDIR;
    const member = directory && this.#operations === "proc_ops" ? "proc_dir_ops" : this.#operations;
    const role = member === "proc_ops" ? "proc_ops" : "file_operations";
    const operations = this.#pointer(entry, path, member, role);
    yield this.#pointer(entry, path, "proc_iops", "inode_operations");
    // Newer kernels have none (measured on 7.2).
    if (this.#kernel.types.has("proc_dir_entry", "proc_dops")) {
      yield this.#pointer(entry, path, "proc_dops", "dentry_operations");
    }
    // A symbolic link has neither.
    if (!directory && kind !== S_IFREG) return;
    yield operations;
    if (this.#sequence.has(operations.value)) {
      yield this.#pointer(entry, path, "seq_ops", "seq_operations");
    } else if (this.#single.has(operations.value)) {
      yield this.#pointer(entry, path, "single_show", "show");
    }
  }

  #pointer(entry: GuestVirtual, path: string, member: string, role: string): ProcPointer {
    const slot = entry + this.#kernel.offset("proc_dir_entry", member);
    return { path, role, slot, value: this.#kernel.space.pointer(slot) };
  }
}
