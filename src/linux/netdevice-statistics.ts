import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

/** What a device received and sent. */
export type TrafficCount = {
  readonly rxPackets: number;
  readonly rxBytes: number;
  readonly txPackets: number;
  readonly txBytes: number;
};

type Counter = keyof TrafficCount;
type Readers = Readonly<Record<Counter, Reader>>;

const COUNTERS = ["rxPackets", "rxBytes", "txPackets", "txBytes"] as const;
const MAX_CPUS = 8192;

/**
 * Counts traffic of devices that count in ways the kernel knows itself. Network card drivers keep
 * their own counters, which nobody else can read.
 */
export class DeviceStatistics {
  readonly #kernel: Kernel;
  readonly #own: Readers;
  readonly #perCpu: Readonly<Record<"lstats" | "tstats", Readers>>;
  readonly #kind: Reader | undefined;
  readonly #pointer: number;
  readonly #operations: Reader;
  readonly #get64: Reader;
  readonly #get: Reader;
  readonly #cpus: readonly number[];

  constructor(kernel: Kernel) {
    const field = (struct: string, member: string): Reader => kernel.reader(struct, member);
    this.#kernel = kernel;
    this.#own = {
      rxPackets: field("net_device", "stats.rx_packets"),
      rxBytes: field("net_device", "stats.rx_bytes"),
      txPackets: field("net_device", "stats.tx_packets"),
      txBytes: field("net_device", "stats.tx_bytes"),
    };
    this.#perCpu = { lstats: loopCounters(kernel), tstats: tunnelCounters(kernel) };
    // Since 6.7 a device says how it counts.
    this.#kind = kernel.readerOf("net_device", "pcpu_stat_type");
    this.#pointer = kernel.offset("net_device", "lstats");
    this.#operations = field("net_device", "netdev_ops");
    this.#get64 = field("net_device_ops", "ndo_get_stats64");
    this.#get = field("net_device_ops", "ndo_get_stats");
    this.#cpus = possibleCpus(kernel);
  }

  /** undefined where the device's driver alone can tell. */
  of(device: GuestVirtual): TrafficCount | undefined {
    switch (this.#way(device)) {
      case "own":
        return complete((counter) => this.#own[counter](device));
      case "lstats":
        return this.#sum(device, this.#perCpu.lstats);
      case "tstats":
        return this.#sum(device, this.#perCpu.tstats);
      default:
        return undefined;
    }
  }

  /** As `dev_get_stats` (net/core/dev.c) decides. */
  #way(device: GuestVirtual): "own" | "lstats" | "tstats" | undefined {
    const operations = this.#operations(device);
    const get64 = this.#get64(operations);
    if (get64 !== 0) {
      const name = this.#kernel.symbols.at(get64)?.name;
      if (name === "loopback_get_stats64") return "lstats";
      return name === "dev_get_tstats64" ? "tstats" : undefined;
    }
    if (this.#get(operations) !== 0) return undefined;
    // enum netdev_stat_type: NONE, LSTATS, TSTATS, DSTATS.
    const kind = this.#kind?.(device) ?? 0;
    return kind === 2 ? "tstats" : kind === 0 ? "own" : undefined;
  }

  #sum(device: GuestVirtual, readers: Readers): TrafficCount | undefined {
    const pointer = this.#kernel.space.u64(device + this.#pointer);
    if (pointer === undefined || pointer === 0n) return undefined;
    const copies = this.#cpus.map((cpu) => this.#copy(pointer, cpu));
    return complete((counter) => copies.reduce((sum, at) => sum + readers[counter](at), 0));
  }

  /**
   * One processor's copy. A dynamic per-CPU pointer is a distance, no address: it may lie outside
   * of all regions, so it is added before it is folded.
   */
  #copy(pointer: bigint, cpu: number): GuestVirtual {
    const { space } = this.#kernel;
    const offset = space.u64(this.#kernel.symbol("__per_cpu_offset") + cpu * 8) ?? 0n;
    return space.folding.foldBig(pointer + offset);
  }
}

function complete(read: (counter: Counter) => number): TrafficCount | undefined {
  const values = COUNTERS.map((counter) => read(counter));
  if (values.some((value) => value !== value)) return undefined;
  const [rxPackets = 0, rxBytes = 0, txPackets = 0, txBytes = 0] = values;
  return { rxPackets, rxBytes, txPackets, txBytes };
}

function loopCounters(kernel: Kernel): Readers {
  const packets = counter(kernel, "pcpu_lstats", "packets");
  const bytes = counter(kernel, "pcpu_lstats", "bytes");
  return { rxPackets: packets, rxBytes: bytes, txPackets: packets, txBytes: bytes };
}

function tunnelCounters(kernel: Kernel): Readers {
  const field = (member: string): Reader => counter(kernel, "pcpu_sw_netstats", member);
  return {
    rxPackets: field("rx_packets"),
    rxBytes: field("rx_bytes"),
    txPackets: field("tx_packets"),
    txBytes: field("tx_bytes"),
  };
}

/** `u64` before 6.0 and `u64_stats_t` since are the same eight bytes. */
function counter(kernel: Kernel, struct: string, member: string): Reader {
  const offset = kernel.offset(struct, member);
  return (object) => kernel.space.count(object + offset);
}

/** Processors that have per-CPU memory, from `__cpu_possible_mask` (kernel/cpu.c). */
function possibleCpus(kernel: Kernel): number[] {
  const mask = kernel.symbol("__cpu_possible_mask");
  const limit = Math.min(kernel.types.size("cpumask") * 8, MAX_CPUS);
  const cpus: number[] = [];
  for (let cpu = 0; cpu < limit; cpu++) {
    if ((kernel.space.u8(mask + Math.floor(cpu / 8)) & (1 << (cpu & 7))) !== 0) cpus.push(cpu);
  }
  return cpus;
}
