import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { FaultCount } from "./callback.ts";
import type { Callback, Problem } from "./callback.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { PerCpu } from "./per-cpu.ts";
import { rbEntries } from "./rb-tree.ts";

/** HRTIMER_MAX_CLOCK_BASES: four clocks, each for hard and soft interrupts. */
const MAX_BASES = 16;
/** A timer goes off while the tree is read: then the tree is read again, so often in all. */
const RETRIES = 64;
const ATTEMPTS = 8;

/** Decodes `hrtimer_bases` of each processor (kernel/time/hrtimer.c). */
export class HighResolutionTimers {
  readonly #kernel: Kernel;
  readonly #function: Reader;
  readonly #base: Reader;
  readonly #link: number;
  readonly #root: number;
  readonly #bases: number;
  readonly #count: number;
  readonly #size: number;
  #retries = RETRIES;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#function = kernel.reader("hrtimer", "function");
    this.#base = kernel.reader("hrtimer", "base");
    this.#link = kernel.offset("hrtimer", "node.node");
    // The tree knows its first node (5.4), since 7.1 each node its neighbours too.
    this.#root = kernel.offset("hrtimer_clock_base", "active.rb_root.rb_root");
    this.#bases = kernel.offset("hrtimer_cpu_base", "clock_base");
    this.#count = Math.min(kernel.types.length("hrtimer_cpu_base", "clock_base"), MAX_BASES);
    this.#size = kernel.types.size("hrtimer_clock_base");
  }

  /** What each timer that is running calls. */
  *callbacks(budget: Budget, problem: Problem): Generator<Callback> {
    const kernel = this.#kernel;
    const variable = kernel.requireSymbol("hrtimer_bases");
    const faults = new FaultCount(problem);
    for (const cpu of new PerCpu(kernel).cpus) {
      const bases = kernel.perCpu(variable, cpu) + this.#bases;
      for (let index = 0; index < this.#count; index++) {
        if (faults.tooMany || !budget.step()) return problem("timers were left out");
        yield* this.#ofBase(bases + index * this.#size, budget, faults.tell);
      }
    }
    return undefined;
  }

  #ofBase(base: GuestVirtual, budget: Budget, problem: Problem): readonly Callback[] {
    for (let attempt = 1; ; attempt++) {
      const faults: string[] = [];
      const root = base + this.#root;
      const told = (reason: string): number => faults.push(reason);
      const timers = [...rbEntries(this.#kernel, root, this.#link, budget, told)];
      const callbacks = timers.map((holder) => ({
        what: "high-resolution timer",
        function: this.#function(holder),
        holder,
      }));
      // One that was taken to another processor or freed does not belong to this tree any more.
      const settled = timers.every((timer) => this.#base(timer) === base);
      if (settled && faults.length === 0) return callbacks;
      if (attempt === ATTEMPTS || this.#retries-- <= 0) {
        problem(faults[0] ?? `the timers at ${this.#kernel.format(root)} cannot be read`);
        return callbacks;
      }
      this.#kernel.lookLater(attempt, budget);
    }
  }
}
