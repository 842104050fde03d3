import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { RESIDENT } from "./mm.ts";
import type { Tasks } from "./task.ts";

/** What the threads of a process have each for themselves, added up. */
export type ThreadTotal = {
  /** Nanoseconds that those who live have run. */
  readonly runtime: number;
  /** Resident pages that they have not told the process of yet (SPLIT_RSS_COUNTING, until 6.2). */
  readonly pages: number;
};

/** Adds up what is kept by thread. */
export class ThreadTotals {
  readonly #tasks: Tasks;
  readonly #runtime: Reader;
  readonly #pages: readonly Reader[];

  constructor(kernel: Kernel, tasks: Tasks) {
    this.#tasks = tasks;
    this.#runtime = kernel.reader("task_struct", "se.sum_exec_runtime");
    this.#pages = RESIDENT.flatMap(
      (counter) => kernel.readerOf("task_struct", `rss_stat.count[${counter}]`) ?? [],
    );
  }

  read(leader: GuestVirtual, budget: Budget): ThreadTotal {
    let runtime = 0;
    let pages = 0;
    for (const thread of this.#tasks.threads(leader, budget)) {
      runtime += this.#runtime(thread);
      for (const own of this.#pages) pages += own(thread);
    }
    return { runtime, pages };
  }
}
