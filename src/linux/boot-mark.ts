import { firstProcess } from "./first-process.ts";
import type { Kernel } from "./kernel.ts";

/**
 * Tells one boot of a kernel from the next, also where it lies at the same place again. Two things
 * are looked at: `jiffies_64` (kernel/time/timer.c) counts up from the same small number at every
 * boot, and never back; and the stack canary of the first process, which is drawn at random when it
 * is made (dup_task_struct in kernel/fork.c) and stays.
 */
export class BootMark {
  readonly #kernel: Kernel;
  #ticks: bigint;
  #canary: number | undefined;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#ticks = this.#readTicks() ?? 0n;
    this.#canary = this.#readCanary();
  }

  /** Whether it is the same boot as at the last look; what cannot be read says nothing. */
  isSame(): boolean {
    const ticks = this.#readTicks();
    if (ticks !== undefined && ticks < this.#ticks) return false;
    const canary = this.#readCanary();
    if (this.#canary !== undefined && canary !== undefined && canary !== this.#canary) return false;
    this.#ticks = ticks ?? this.#ticks;
    this.#canary ??= canary;
    return true;
  }

  #readTicks(): bigint | undefined {
    return this.#kernel.space.u64(this.#kernel.symbol("jiffies_64"));
  }

  /** Undefined where there is no such process yet, or none that can be read. */
  #readCanary(): number | undefined {
    const kernel = this.#kernel;
    const canary = kernel.readerOf("task_struct", "stack_canary");
    const first = firstProcess(kernel);
    if (canary === undefined || first === undefined) return undefined;
    const value = canary(first);
    return value === value ? value : undefined;
  }
}
