import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Callback, Problem } from "./callback.ts";
import type { Kernel } from "./kernel.ts";
import { listSnapshot } from "./list-snapshot.ts";
import type { Reader } from "./member-reader.ts";
import { XArrays } from "./xarray.ts";

/** WQ_NAME_LEN (include/linux/workqueue.h). */
const MAX_NAME = 32;

/** Decodes what waits in work queues and what their workers do (kernel/workqueue.c). */
export class WorkQueues {
  readonly #kernel: Kernel;
  readonly #workFunction: Reader;
  readonly #workEntry: number;
  readonly #pools: XArrays;
  #lists = 0;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#workFunction = kernel.reader("work_struct", "func");
    this.#workEntry = kernel.offset("work_struct", "entry");
    this.#pools = new XArrays(kernel);
  }

  /** How many lists of works, workers and queues were looked at so far: most are empty. */
  get lists(): number {
    return this.#lists;
  }

  /** Functions of works that are queued or held back, and of those that workers are at. */
  *callbacks(budget: Budget, problem: Problem): Generator<Callback> {
    const pools = this.#kernel.requireSymbol("worker_pool_idr");
    for (const { pointer } of this.#pools.idrEntries(pools, budget, problem)) {
      if (!(pointer < 0)) continue;
      this.#lists++;
      yield* this.#works("work", this.#member("worker_pool", "worklist", pointer), budget, problem);
      yield* this.#workers(pointer, budget, problem);
    }
    yield* this.#heldBack(budget, problem);
  }

  #member(struct: string, path: string, object: GuestVirtual): GuestVirtual {
    return object + this.#kernel.offset(struct, path);
  }

  *#works(what: string, head: GuestVirtual, budget: Budget, problem: Problem): Generator<Callback> {
    for (const work of listSnapshot(this.#kernel, head, this.#workEntry, budget, problem)) {
      yield { what, function: this.#workFunction(work), holder: work };
    }
  }

  *#workers(pool: GuestVirtual, budget: Budget, problem: Problem): Generator<Callback> {
    const kernel = this.#kernel;
    const head = this.#member("worker_pool", "workers", pool);
    const link = kernel.offset("worker", "node");
    const current = kernel.reader("worker", "current_func");
    const scheduled = kernel.offset("worker", "scheduled");
    for (const worker of listSnapshot(kernel, head, link, budget, problem)) {
      const call = current(worker);
      if (call !== 0) yield { what: "work being done", function: call, holder: worker };
      yield* this.#works("work", worker + scheduled, budget, problem);
    }
  }

  /** Works above a queue's limit wait in its `pool_workqueue` (`delayed_works` before 5.15). */
  *#heldBack(budget: Budget, problem: Problem): Generator<Callback> {
    const kernel = this.#kernel;
    const waiting = ["inactive_works", "delayed_works"].find((member) =>
      kernel.types.has("pool_workqueue", member),
    );
    if (waiting === undefined) return problem("where queues hold works back is not known");
    const queues = kernel.requireSymbol("workqueues");
    const queueLink = kernel.offset("workqueue_struct", "list");
    const poolLink = kernel.offset("pool_workqueue", "pwqs_node");
    for (const queue of listSnapshot(kernel, queues, queueLink, budget, problem)) {
      const head = this.#member("workqueue_struct", "pwqs", queue);
      for (const pool of listSnapshot(kernel, head, poolLink, budget, problem)) {
        this.#lists++;
        const works = this.#member("pool_workqueue", waiting, pool);
        if (kernel.space.pointer(works) === works) continue;
        yield* this.#works(`work of ${this.#name(queue)}`, works, budget, problem);
      }
    }
    return undefined;
  }

  #name(queue: GuestVirtual): string {
    const address = this.#kernel.reader("workqueue_struct", "name")(queue);
    return this.#kernel.space.string(address, MAX_NAME) ?? "a work queue";
  }
}
