import { FAULT } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";

const TWO_32 = 2 ** 32;
/** NR_CPUS of every distribution is at most this. */
const MAX_CPUS = 8192;

type Offset = { readonly low: number; readonly high: number };

/**
 * Follows `__percpu` pointers (include/asm-generic/percpu.h): the address on one processor is the
 * pointer plus `__per_cpu_offset[cpu]`, modulo 2^64.
 */
export class PerCpu {
  /** Numbers of the processors that may ever run. */
  readonly cpus: readonly number[];
  readonly #kernel: Kernel;
  readonly #offsets: readonly Offset[];

  constructor(kernel: Kernel) {
    const { space } = kernel;
    const offsets = kernel.symbol("__per_cpu_offset");
    this.#kernel = kernel;
    // A kernel for one processor has no offsets (CONFIG_SMP).
    const offsetOf = (cpu: number): Offset =>
      offsets === offsets
        ? { low: space.u32(offsets + cpu * 8), high: space.u32(offsets + cpu * 8 + 4) }
        : { low: 0, high: 0 };
    const places = new Map<string, number>();
    for (const cpu of possibleCpus(kernel)) {
      const { low, high } = offsetOf(cpu);
      // Those that cannot be share one place: a mask that is damaged names thousands of them.
      if (!places.has(`${high}/${low}`)) places.set(`${high}/${low}`, cpu);
    }
    this.cpus = [...places.values()];
    this.#offsets = this.cpus.map(offsetOf);
  }

  /** Where the pointer with these halves leads on the `index`th of `cpus`, or NaN. */
  locate(low: number, high: number, index: number): GuestVirtual {
    const offset = this.#offsets[index];
    const sum = low + offset.low;
    const rest = high + offset.high + (sum >= TWO_32 ? 1 : 0);
    return sum === sum && rest === rest
      ? this.#kernel.space.folding.fold(sum >>> 0, rest >>> 0)
      : FAULT;
  }
}

/** Bits of `__cpu_possible_mask` (kernel/cpu.c). */
function possibleCpus(kernel: Kernel): number[] {
  if (kernel.symbol("__per_cpu_offset") !== kernel.symbol("__per_cpu_offset")) return [0];
  const mask = kernel.symbol("__cpu_possible_mask");
  const limit = Math.min(kernel.types.size("cpumask") * 8, MAX_CPUS);
  const cpus: number[] = [];
  for (let cpu = 0; cpu < limit; cpu += 8) {
    const byte = kernel.space.u8(mask + cpu / 8);
    if (byte !== byte) break;
    for (let bit = 0; bit < 8; bit++) if ((byte & (1 << bit)) !== 0) cpus.push(cpu + bit);
  }
  return cpus;
}
