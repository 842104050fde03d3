import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { PerCpu } from "./per-cpu.ts";

/** Interrupts, softirqs and switches that a processor has to have had since: some ticks' worth. */
const EVENTS = 8;
/** Of them there were ten since 2.6.30 (include/linux/interrupt.h). */
const MAX_SOFTIRQS = 64;

type Processor = {
  readonly rq: GuestVirtual;
  readonly kstat: GuestVirtual;
  readonly events: number;
};

/**
 * Whether the guest's processors got on since a moment. The host may let one of them stand for
 * tenths of a second in the middle of something, be it that the host is busy or that it runs them
 * by turns: what was half done then stays half done, however often it is looked at. Clocks of the
 * guest do not tell, because they go on meanwhile; what a processor counts itself does
 * (struct kernel_stat, include/linux/kernel_stat.h; struct rq, kernel/sched/sched.h).
 */
export class ProcessorProgress {
  readonly #kernel: Kernel;
  readonly #current: Reader | undefined;
  readonly #idle: Reader | undefined;
  readonly #switches: Reader | undefined;
  readonly #interrupts: Reader | undefined;
  readonly #softirqs: { readonly offset: number; readonly length: number } | undefined;
  readonly #before: readonly Processor[];

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#current = kernel.readerOf("rq", "curr");
    this.#idle = kernel.readerOf("rq", "idle");
    this.#switches = kernel.readerOf("rq", "nr_switches");
    this.#interrupts = kernel.readerOf("kernel_stat", "irqs_sum");
    const softirqs = kernel.types.member("kernel_stat", "softirqs");
    this.#softirqs =
      softirqs === undefined
        ? undefined
        : {
            offset: softirqs.offset,
            length: Math.min(kernel.types.length("kernel_stat", "softirqs"), MAX_SOFTIRQS),
          };
    const runqueues = kernel.symbol("runqueues");
    const kstat = kernel.symbol("kstat");
    this.#before = new PerCpu(kernel).cpus.map((cpu) => {
      const place = { rq: kernel.perCpu(runqueues, cpu), kstat: kernel.perCpu(kstat, cpu) };
      return { ...place, events: this.#events(place.rq, place.kstat) };
    });
  }

  /** Each processor is idle, so in the middle of nothing, or did several things since. */
  moved(): boolean {
    return this.#before.every(({ rq, kstat, events }) => {
      if (this.#current?.(rq) === this.#idle?.(rq)) return true;
      // What cannot be counted is not waited for.
      return !(this.#events(rq, kstat) - events < EVENTS);
    });
  }

  /** No processor did anything since: the guest is stopped, or all of it asleep. */
  stood(): boolean {
    const stood = ({ rq, kstat, events }: Processor): boolean => this.#events(rq, kstat) === events;
    return this.#before.length > 0 && this.#before.every(stood);
  }

  #events(rq: GuestVirtual, kstat: GuestVirtual): number {
    let events = (this.#switches?.(rq) ?? Number.NaN) + (this.#interrupts?.(kstat) ?? Number.NaN);
    if (this.#softirqs === undefined) return events;
    const { offset, length } = this.#softirqs;
    for (let index = 0; index < length; index++) {
      events += this.#kernel.space.u32(kstat + offset + index * 4);
    }
    return events;
  }
}
