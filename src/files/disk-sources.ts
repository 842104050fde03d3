import { KvmsecError } from "../base/errors.ts";
import type { Guest } from "../vm/guest.ts";
import type { QemuProcess } from "../vm/qemu-process.ts";
import { DiskTree } from "./disk-tree.ts";
import type { FileTree } from "./file-tree.ts";
import { GuestDisks } from "./guest-disks.ts";
import { PageCacheTree } from "./page-cache-tree.ts";
import { volumesOf } from "./volumes.ts";

type Problem = (reason: string) => void;

/** How long a look through all inodes in memory holds; longer where it took long, in large guests. */
const CACHE_MS = 30_000;
const CACHE_FACTOR = 50;

type Where = {
  readonly modulesDir?: string;
  readonly disk?: readonly string[];
  readonly disksOf?: QemuProcess;
};

/** Where a guest's own files can be read: its disks, then its page cache. */
export class DiskSources {
  readonly #guest: Guest;
  readonly modulesDir: string | undefined;
  readonly #images: readonly string[];
  readonly #qemu: QemuProcess | undefined;
  #cached: { readonly tree: PageCacheTree; readonly until: number } | undefined;

  constructor(guest: Guest, { modulesDir, disk = [], disksOf }: Where) {
    this.#guest = guest;
    this.modulesDir = modulesDir;
    this.#images = disk;
    this.#qemu = guest.target.kind === "qemu" ? guest.target.qemu : disksOf;
  }

  /** The release of the guest's kernel, which names the folder of its modules. */
  get release(): string {
    return this.#guest.kernel.identity.release;
  }

  /** The file systems on its disks, one after the other, then what is in its page cache. */
  *trees(problem: Problem): Generator<FileTree> {
    yield* this.disks(problem);
    yield* this.#pageCache(problem);
  }

  /**
   * Those on disks, as they are now: disks are opened anew each time, since a guest's change under
   * us, and closed when the walk goes on or ends.
   */
  *disks(problem: Problem): Generator<DiskTree> {
    const qemu = this.#qemu;
    if (qemu !== undefined) yield* treesOn(() => GuestDisks.ofProcess(qemu), problem);
    if (this.#images.length > 0) yield* treesOn(() => GuestDisks.ofFiles(this.#images), problem);
  }

  *#pageCache(problem: Problem): Generator<FileTree> {
    const start = performance.now();
    try {
      if (this.#cached === undefined || start > this.#cached.until) {
        const tree = new PageCacheTree(this.#guest.kernel);
        const end = performance.now();
        this.#cached = { tree, until: end + Math.max(CACHE_MS, CACHE_FACTOR * (end - start)) };
      }
    } catch (error) {
      // A kernel without the types of the page cache.
      if (!(error instanceof KvmsecError)) throw error;
      problem(`the guest's page cache: ${error.message}`);
      return;
    }
    yield this.#cached.tree;
  }
}

function* treesOn(open: () => GuestDisks, problem: Problem): Generator<DiskTree> {
  using opened = open();
  for (const reason of opened.problems) problem(reason);
  const volumes = volumesOf(opened.disks);
  for (const { name, fileSystem, unreadable } of volumes) {
    if (unreadable !== undefined) problem(`${name}: ${unreadable}`);
    if (fileSystem !== undefined) yield new DiskTree(name, fileSystem);
  }
}
