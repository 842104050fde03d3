import type { KernelFiles } from "./kernel-files.ts";

/** How long after a search that found no kernel file the next one is made; twice as long each time. */
const FIRST_WAIT_MS = 60_000;
const LONGEST_WAIT_MS = 3_600_000;

/**
 * The files of a guest's kernel for those who look again and again. Where its kernel's file is not
 * found, it is looked for again later: a guest that is still booting has not mounted its disks, and
 * a file may come into its page cache. Each search reads disks, so they become rare.
 */
export class KernelFileSearch {
  readonly #find: () => KernelFiles;
  readonly #now: () => number;
  #found: KernelFiles;
  #wait = FIRST_WAIT_MS;
  #next: number;

  /** `find` looks once; `now` tells milliseconds. */
  constructor(find: () => KernelFiles, now: () => number = Date.now) {
    this.#find = find;
    this.#now = now;
    this.#found = find();
    this.#next = now() + this.#wait;
  }

  /** What is known of them by now. */
  get files(): KernelFiles {
    if ("textMissing" in this.#found && this.#now() >= this.#next) {
      this.#found = this.#find();
      this.#wait = Math.min(2 * this.#wait, LONGEST_WAIT_MS);
      this.#next = this.#now() + this.#wait;
    }
    return this.#found;
  }
}
