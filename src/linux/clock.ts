import { FAULT } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";

const NANOSECONDS = 1_000_000;
const TIMEKEEPER_ALIGNMENT = 8;

/**
 * The guest's clock (kernel/time/timekeeping.c): turns nanoseconds since boot, as
 * `task_struct.start_boottime` has them, into the time of day.
 */
export class GuestClock {
  /** Time of day at boot in milliseconds since 1970, NaN where it cannot be read. */
  readonly bootTime: number;
  /**
   * The time of day that the kernel wrote down last, in milliseconds since 1970, NaN where it cannot
   * be read. It does so at its ticks: of a guest that sleeps it is as old as that sleep.
   */
  readonly written: number;

  constructor(kernel: Kernel) {
    const timekeeper = timekeeperOf(kernel);
    this.bootTime = bootTime(kernel, timekeeper);
    this.written = written(kernel, timekeeper);
  }

  /** The time of day of so many nanoseconds since boot, or undefined. */
  date(sinceBoot: number): Date | undefined {
    const time = this.bootTime + sinceBoot / NANOSECONDS;
    // Outside what Date can hold, the clock was read wrong or forged.
    return Math.abs(time) <= 8.64e15 ? new Date(time) : undefined;
  }
}

/** Boot = offs_real − offs_boot: both are distances from the monotonic clock. */
function bootTime(kernel: Kernel, timekeeper: number): number {
  const real = kernel.readerOrFault("timekeeper", "offs_real")(timekeeper);
  const boot = kernel.readerOrFault("timekeeper", "offs_boot")(timekeeper);
  return (real - boot) / NANOSECONDS;
}

/** tk_xtime() of kernel/time/timekeeping.c: nanoseconds are kept shifted. */
function written(kernel: Kernel, timekeeper: number): number {
  const seconds = kernel.readerOrFault("timekeeper", "xtime_sec")(timekeeper);
  const shifted = kernel.readerOrFault("timekeeper", "tkr_mono.xtime_nsec")(timekeeper);
  const shift = kernel.readerOrFault("timekeeper", "tkr_mono.shift")(timekeeper);
  return shift < 64 ? seconds * 1000 + shifted / 2 ** shift / NANOSECONDS : FAULT;
}

function timekeeperOf(kernel: Kernel): number {
  // `tk_core` became the first of several, `timekeeper_data[TIMEKEEPER_CORE]`, in 6.17.
  const single = kernel.symbol("tk_core");
  const core = single === single ? single : kernel.symbol("timekeeper_data");
  if (core !== core || !kernel.types.has("timekeeper", "offs_real")) return FAULT;
  // `struct tk_data` has a name since 6.13.
  const within =
    kernel.types.member("tk_data", "timekeeper")?.offset ?? behindSequenceCount(kernel);
  return core + within;
}

/** The count knows its lock where that may sleep (PREEMPT_RT) or is watched (LOCKDEP). */
function behindSequenceCount({ types }: Kernel): number {
  const size =
    types.struct("seqcount_raw_spinlock") !== 0 ? types.size("seqcount_raw_spinlock") : 4;
  return Math.ceil(size / TIMEKEEPER_ALIGNMENT) * TIMEKEEPER_ALIGNMENT;
}
