import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { CircleWatch } from "./circle-watch.ts";
import type { Kernel } from "./kernel.ts";
import { listEntries } from "./list.ts";
import { listSnapshot } from "./list-snapshot.ts";
import type { Reader } from "./member-reader.ts";
import { rbEntries } from "./rb-tree.ts";
import { Tasks } from "./task.ts";

type Problem = (reason: string) => void;

/** A mount namespace and who is in it. */
export type MountNamespace = {
  /** `struct mnt_namespace`. */
  readonly address: GuestVirtual;
  /** Inode number, as `/proc/PID/ns/mnt` shows it; 0 for an anonymous one (open_tree, fsmount). */
  readonly inum: number;
  /** Lowest process id in it; undefined where nobody is, because a file keeps it. */
  readonly pid: number | undefined;
};

/** Entries of a namespace's list that stand for a reader of /proc/PID/mountinfo (5.8 to 6.7). */
const MNT_CURSOR = 0x1000_0000;
/** Error values take the last page of addresses; MNT_NS_INTERNAL is one of them (fs/mount.h). */
const FIRST_ERROR = -4095;

/** Finds mount namespaces (struct mnt_namespace, fs/mount.h) and their mounts. */
export class MountNamespaces {
  readonly #kernel: Kernel;
  readonly #inum: Reader;
  readonly #root: Reader;
  readonly #mountNamespace: Reader;
  readonly #flags: Reader;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#inum = kernel.reader("mnt_namespace", "ns.inum");
    this.#root = kernel.reader("mnt_namespace", "root");
    this.#mountNamespace = kernel.reader("mount", "mnt_ns");
    this.#flags = kernel.reader("mount", "mnt.mnt_flags");
  }

  /**
   * Every mount namespace that a process is in or that a mounted filesystem leads to: those that
   * only an open file or a bind mount keeps alive as well. The initial one comes first.
   */
  all(budget: Budget, problem: Problem): MountNamespace[] {
    const pids = this.#ofTasks(budget, problem);
    const found = new Set([...pids.keys(), ...this.#ofFilesystems(budget, problem)]);
    return [...found]
      .filter((namespace) => this.#isOne(namespace))
      .map((address) => ({ address, inum: this.#inum(address), pid: pids.get(address) }))
      .toSorted((a, b) => (a.pid ?? Infinity) - (b.pid ?? Infinity) || a.inum - b.inum);
  }

  /** Every `struct mount` of a namespace, in the order of /proc/PID/mountinfo. */
  mounts(namespace: GuestVirtual, budget: Budget, problem: Problem): GuestVirtual[] {
    const kernel = this.#kernel;
    // A list before 6.8, then a tree by unique id.
    const mounts = kernel.types.has("mnt_namespace", "list")
      ? listSnapshot(
          kernel,
          namespace + kernel.offset("mnt_namespace", "list"),
          kernel.offset("mount", "mnt_list"),
          budget,
          problem,
        )
      : rbEntries(
          kernel,
          namespace + kernel.offset("mnt_namespace", "mounts"),
          kernel.offset("mount", "mnt_node"),
          budget,
          problem,
        );
    return [...new Set(mounts)].filter((mount) => (this.#flags(mount) & MNT_CURSOR) === 0);
  }

  /** The root mount of a namespace is in that namespace. */
  #isOne(namespace: GuestVirtual): boolean {
    return this.#mountNamespace(this.#root(namespace)) === namespace;
  }

  /** Namespaces of all tasks, with the lowest process id of each. */
  #ofTasks(budget: Budget, problem: Problem): Map<GuestVirtual, number> {
    const tasks = new Tasks(this.#kernel);
    const namespace = this.#kernel.reader("nsproxy", "mnt_ns");
    const pids = new Map<GuestVirtual, number>();
    for (const leader of tasks.processes(budget, problem)) {
      for (const task of tasks.threads(leader, budget, problem)) {
        const nsproxy = tasks.nsproxy(task);
        // A task that has exited has none.
        if (nsproxy === 0 || nsproxy !== nsproxy) continue;
        const at = namespace(nsproxy);
        pids.set(at, Math.min(pids.get(at) ?? Infinity, tasks.tgid(leader)));
      }
    }
    return pids;
  }

  *#ofFilesystems(budget: Budget, problem: Problem): Generator<GuestVirtual> {
    const kernel = this.#kernel;
    const head = kernel.symbol("super_blocks");
    if (head !== head) return;
    const link = kernel.offset("super_block", "s_list");
    for (const block of listSnapshot(kernel, head, link, budget, problem)) {
      for (const mount of this.#ofSuperBlock(block, budget)) {
        const namespace = this.#mountNamespace(mount);
        if (namespace < FIRST_ERROR) yield namespace;
      }
    }
  }

  /** All mounts of a filesystem: a list before 6.17, then a chain of its own. */
  *#ofSuperBlock(block: GuestVirtual, budget: Budget): Generator<GuestVirtual> {
    const kernel = this.#kernel;
    const first = kernel.reader("super_block", "s_mounts");
    const next = kernel.readerOf("mount", "mnt_next_for_sb");
    if (next === undefined) {
      yield* listEntries(kernel, first(block), kernel.offset("mount", "mnt_instance"), budget);
      return;
    }
    const watch = new CircleWatch();
    for (let mount = first(block); mount < 0; mount = next(mount)) {
      if (!budget.step() || watch.isBack(mount)) return;
      yield mount;
    }
  }
}
