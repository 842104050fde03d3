import type { Kernel } from "../linux/kernel.ts";
import { GuestClock } from "../linux/clock.ts";
import { physicalSize } from "../memory/physical-memory.ts";

/** What `kvmsec info` tells about a guest as a whole. */
export type Info = {
  readonly release: string;
  readonly banner: string;
  readonly buildId: string | undefined;
  readonly hostname: string | undefined;
  readonly machine: string | undefined;
  readonly bootTime: Date | undefined;
  readonly memory: {
    readonly kind: string;
    readonly size: number;
    readonly ranges: readonly { readonly start: string; readonly size: number }[];
  };
  readonly paging: {
    readonly levels: 4 | 5;
    readonly kpti: boolean | undefined;
    readonly root: string;
  };
  readonly image: {
    readonly virtual: string;
    readonly physical: string;
    readonly size: number;
    /** Virtual and physical KASLR slide from the linked 16 MiB (CONFIG_PHYSICAL_START). */
    readonly virtualSlide: number;
    readonly physicalSlide: number;
  };
  readonly cpus: number;
  readonly symbols: number;
  readonly types: string;
};

/** `__START_KERNEL_map` + CONFIG_PHYSICAL_START, where an unslid kernel lies. */
const LINKED_TEXT = -0x7f00_0000;
const LINKED_PHYSICAL = 0x100_0000;
const UTS_LENGTH = 65;
const MAX_CPUS = 8192;

/** Reads what a guest is: its kernel, paging, memory and clock. */
export function readInfo(kernel: Kernel): Info {
  const { identity, image, memory, space } = kernel;
  const boot = new GuestClock(kernel).bootTime;
  return {
    release: identity.release,
    banner: identity.banner,
    buildId: identity.buildId,
    hostname: utsName(kernel, "nodename"),
    machine: utsName(kernel, "machine"),
    bootTime: Math.abs(boot) < 8.64e15 ? new Date(boot) : undefined,
    memory: {
      kind: memory.kind,
      size: physicalSize(memory),
      ranges: memory.ranges.map(({ start, size }) => ({ start: `0x${start.toString(16)}`, size })),
    },
    paging: {
      levels: identity.levels,
      kpti: kernel.kpti,
      root: `0x${space.tables.root.toString(16)}`,
    },
    image: {
      virtual: kernel.format(image.virtual),
      physical: `0x${image.physical.toString(16)}`,
      size: image.size,
      virtualSlide: image.virtual - LINKED_TEXT,
      physicalSlide: image.physical - LINKED_PHYSICAL,
    },
    cpus: onlineCpus(kernel),
    symbols: kernel.symbols.size,
    types: kernel.types.source.source,
  };
}

/** The kernel as every JSON document about a guest names it. */
export function kernelDocument({ identity }: Kernel): object {
  const { release, buildId, banner } = identity;
  return { release, buildId: buildId ?? null, banner };
}

/** The fields of `kvmsec.info/1` behind its target. */
export function infoDocument(kernel: Kernel): object {
  const { release: _, buildId: __, banner: ___, ...rest } = readInfo(kernel);
  const { hostname, machine, bootTime, paging } = rest;
  return {
    kernel: kernelDocument(kernel),
    ...rest,
    hostname: hostname ?? null,
    machine: machine ?? null,
    bootTime: bootTime ?? null,
    paging: { ...paging, kpti: paging.kpti ?? null },
    warnings: kernel.warnings,
  };
}

function utsName(kernel: Kernel, member: string): string | undefined {
  const name = kernel.readerOf("uts_namespace", `name.${member}`);
  const address = name?.(kernel.symbol("init_uts_ns"));
  return address === undefined ? undefined : kernel.space.string(address, UTS_LENGTH);
}

/** Bits of `__cpu_online_mask` (kernel/cpu.c), NaN where it cannot be read. */
function onlineCpus(kernel: Kernel): number {
  if (!kernel.types.has("cpumask", "bits")) return Number.NaN;
  const limit = Math.min(kernel.types.size("cpumask") * 8, MAX_CPUS);
  const mask = kernel.symbol("__cpu_online_mask");
  let online = 0;
  for (let cpu = 0; cpu < limit; cpu += 8) {
    let byte = kernel.space.u8(mask + cpu / 8);
    if (byte !== byte) return cpu === 0 ? Number.NaN : online;
    for (; byte > 0; byte &= byte - 1) online++;
  }
  return online;
}
