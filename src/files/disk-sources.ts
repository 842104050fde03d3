import { KvmsecError } from "../base/errors.ts";
import type { Guest } from "../vm/guest.ts";
import { ExtTree } from "./ext-tree.ts";
import type { FileTree } from "./file-tree.ts";
import { GuestDisks } from "./guest-disks.ts";
import { PageCacheTree } from "./page-cache-tree.ts";
import { volumesOf } from "./volumes.ts";

type Problem = (reason: string) => void;

/** How long a look through all inodes in memory holds. */
const CACHE_MS = 30_000;

/** Where a guest's own files can be read: its disks, then its page cache. */
export class DiskSources {
  readonly #guest: Guest;
  readonly modulesDir: string | undefined;
  readonly #images: readonly string[];
  #cached: { readonly tree: PageCacheTree; readonly until: number } | undefined;

  constructor(
    guest: Guest,
    { modulesDir, disk = [] }: { readonly modulesDir?: string; readonly disk?: readonly string[] },
  ) {
    this.#guest = guest;
    this.modulesDir = modulesDir;
    this.#images = disk;
  }

  /** The release of the guest's kernel, which names the folder of its modules. */
  get release(): string {
    return this.#guest.kernel.identity.release;
  }

  /**
   * The file systems, one after the other, as they are now: disks are opened anew each time, since
   * a guest's change under us, and closed when the walk goes on or ends.
   */
  *trees(problem: Problem): Generator<FileTree> {
    const { target } = this.#guest;
    if (target.kind === "qemu") yield* treesOn(() => GuestDisks.ofProcess(target.qemu), problem);
    if (this.#images.length > 0) yield* treesOn(() => GuestDisks.ofFiles(this.#images), problem);
    yield* this.#pageCache(problem);
  }

  *#pageCache(problem: Problem): Generator<FileTree> {
    const now = performance.now();
    try {
      if (this.#cached === undefined || now > this.#cached.until) {
        this.#cached = { tree: new PageCacheTree(this.#guest.kernel), until: now + CACHE_MS };
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

function* treesOn(open: () => GuestDisks, problem: Problem): Generator<FileTree> {
  using opened = open();
  for (const reason of opened.problems) problem(reason);
  const volumes = volumesOf(opened.disks);
  for (const { name, fileSystem, unreadable } of volumes) {
    if (unreadable !== undefined) problem(`${name}: ${unreadable}`);
    if (fileSystem !== undefined) yield new ExtTree(name, fileSystem);
  }
}
