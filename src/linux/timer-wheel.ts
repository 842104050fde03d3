import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { BtfKind } from "../formats/btf.ts";
import { FaultCount } from "./callback.ts";
import type { Callback, Problem } from "./callback.ts";
import { CircleWatch } from "./circle-watch.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { PerCpu } from "./per-cpu.ts";

/** `pprev` follows `next` in struct hlist_node (include/linux/types.h). */
const PPREV = 8;
/** BASE_LOCAL, BASE_GLOBAL and BASE_DEF; before 6.9 there are two. */
const MAX_BASES = 3;
/** Timers count from INITIAL_JIFFIES, five minutes before 2^32 (include/linux/jiffies.h). */
const FIRST_CLOCK = 2 ** 32 - 300 * 1000;
const LAST_CLOCK = 2 ** 44;
/** A timer goes off while its bucket is read: then the bucket is read again, so often in all. */
const RETRIES = 64;
const ATTEMPTS = 8;

/** Decodes the timer wheels, `timer_bases` of each processor (kernel/time/timer.c). */
export class TimerWheels {
  readonly #kernel: Kernel;
  readonly #function: Reader;
  readonly #entry: number;
  readonly #vectors: number;
  readonly #buckets: number;
  readonly #delayedWork: GuestVirtual;
  readonly #delayedKthreadWork: GuestVirtual;
  #retries = RETRIES;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#function = kernel.reader("timer_list", "function");
    this.#entry = kernel.offset("timer_list", "entry");
    this.#vectors = kernel.offset("timer_base", "vectors");
    this.#buckets = kernel.types.length("timer_base", "vectors");
    this.#delayedWork = kernel.symbol("delayed_work_timer_fn");
    this.#delayedKthreadWork = kernel.symbol("kthread_delayed_work_timer_fn");
  }

  /** What each pending timer calls, and, of one that starts a delayed work, what that calls. */
  *callbacks(budget: Budget, problem: Problem): Generator<Callback> {
    const faults = new FaultCount(problem);
    for (const base of this.#bases()) {
      if (faults.tooMany || !budget.step()) return problem("timers were left out");
      const heads = this.#kernel.space.bytes(base + this.#vectors, this.#buckets * 8);
      if (heads === undefined) {
        faults.tell("a timer wheel cannot be read");
        continue;
      }
      const words = new Uint32Array(heads.buffer, heads.byteOffset, this.#buckets * 2);
      for (let bucket = 0; bucket < this.#buckets; bucket++) {
        if (words[bucket * 2] === 0 && words[bucket * 2 + 1] === 0) continue;
        if (faults.tooMany) break;
        yield* this.#bucket(base + this.#vectors + bucket * 8, budget, faults.tell);
      }
    }
    return undefined;
  }

  *#bases(): Generator<GuestVirtual> {
    const kernel = this.#kernel;
    const variable = kernel.requireSymbol("timer_bases");
    const size = kernel.types.size("timer_base");
    const known = declaredCount(kernel, "timer_bases");
    for (const cpu of new PerCpu(kernel).cpus) {
      const first = kernel.perCpu(variable, cpu);
      for (let index = 0; index < (known ?? MAX_BASES); index++) {
        const base = first + index * size;
        if (known !== undefined || this.#isBase(base, cpu)) yield base;
      }
    }
  }

  /** Where the types do not tell how many there are (before 5.11), what follows may be anything. */
  #isBase(base: GuestVirtual, cpu: number): boolean {
    const clock = this.#kernel.reader("timer_base", "clk")(base);
    const isClock = clock >= FIRST_CLOCK && clock < LAST_CLOCK;
    return isClock && this.#kernel.reader("timer_base", "cpu")(base) === cpu;
  }

  #bucket(head: GuestVirtual, budget: Budget, problem: Problem): readonly Callback[] {
    let read = this.#readBucket(head, budget);
    for (let attempt = 1; !read.whole && attempt < ATTEMPTS && this.#retries > 0; attempt++) {
      this.#retries--;
      this.#kernel.lookLater(attempt, budget);
      read = this.#readBucket(head, budget);
    }
    if (!read.whole) problem(`the timers at ${this.#kernel.format(head)} cannot be read`);
    return read.callbacks;
  }

  /** A timer that is taken out while it is read no longer leads back to the one before it. */
  #readBucket(head: GuestVirtual, budget: Budget): { callbacks: Callback[]; whole: boolean } {
    const { space } = this.#kernel;
    const callbacks: Callback[] = [];
    const watch = new CircleWatch();
    let slot = head;
    let node = space.pointer(head);
    while (node !== 0) {
      const next = space.pointer(node);
      const leadsBack = space.pointer(node + PPREV) === slot;
      if (!leadsBack || next !== next || !budget.step() || watch.isBack(node)) {
        return { callbacks, whole: false };
      }
      const timer = node - this.#entry;
      const call = this.#function(timer);
      callbacks.push({ what: "timer", function: call, holder: timer });
      const work = this.#work(timer, call);
      if (work !== undefined) callbacks.push(work);
      slot = node;
      node = next;
    }
    return { callbacks, whole: true };
  }

  /** A work that waits for its time lies around its timer (include/linux/workqueue.h, kthread.h). */
  #work(timer: GuestVirtual, call: GuestVirtual): Callback | undefined {
    const isWork = call === this.#delayedWork;
    if (!isWork && call !== this.#delayedKthreadWork) return undefined;
    const struct = isWork ? "delayed_work" : "kthread_delayed_work";
    const kernel = this.#kernel;
    const holder = timer - kernel.offset(struct, "timer");
    return { what: "delayed work", function: kernel.reader(struct, "work.func")(holder), holder };
  }
}

/** Elements of a per-CPU array, which the type information describes by name; else undefined. */
function declaredCount({ types }: Kernel, variable: string): number | undefined {
  const { source } = types;
  const id = source.find(variable, BtfKind.VAR);
  return id === 0 ? undefined : source.array(source.strip(source.referenced(id)))?.count;
}
