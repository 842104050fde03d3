import type { RamBlock } from "../memory/ranges.ts";
import type { MemoryBackend, MemoryModule } from "./memory-arguments.ts";
import type { QemuArguments } from "./qemu-command-line.ts";
import { ramLayout } from "./ram-layout.ts";

/** A piece of a guest's RAM that is one mapping of its QEMU. */
export type RamPart = {
  readonly size: number;
  /** Undefined for memory that no `-object` was given for. */
  readonly backend: MemoryBackend | undefined;
  /** Where it appears to the guest; offsets are within the part. */
  readonly blocks: readonly RamBlock[];
  /** In QEMU's address space, where QEMU told it. */
  readonly hostAddress?: bigint | undefined;
};

const GIB = 2 ** 30;
/** Where QEMU puts a module whose backend has small pages (QEMU_VMALLOC_ALIGN, include/qemu/osdep.h). */
const MODULE_ALIGNMENT = 2 * 2 ** 20;

/**
 * What a guest's RAM is made of, by its QEMU's command line: one part, or one for each NUMA node, and
 * the memory in slots behind them. `modules` stands in for those of the command line, where QEMU was
 * asked what is plugged in by now. Undefined where a backend is used that the command line lacks.
 */
export function ramParts(
  { backends, memoryBackends, memory, machine, maxRamBelow4g, modules: started }: QemuArguments,
  modules: readonly PluggedModule[] = started,
): RamPart[] | undefined {
  const named = (id: string): MemoryBackend | undefined => backends.find((one) => one.id === id);
  const own = memoryBackends.map(named);
  if (own.includes(undefined)) return undefined;
  const sizes = own.length === 0 ? [memory] : own.map((backend) => backend?.size ?? 0);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const layout = ramLayout(machine, total, maxRamBelow4g);
  let begin = 0;
  const parts = sizes.map((size, index): RamPart => {
    const blocks = layout.flatMap((block) => cut(block, begin, begin + size));
    begin += size;
    return { size, backend: own[index], blocks };
  });
  const last = layout.at(-1);
  const end = last === undefined ? 0 : last.start + last.size;
  const plugged = placeModules(modules, named, Math.ceil(Math.max(end, 4 * GIB) / GIB) * GIB);
  return plugged === undefined ? undefined : [...parts, ...plugged];
}

/** A module, with what QEMU says of one that was plugged in while the guest ran. */
export type PluggedModule = MemoryModule & {
  readonly size?: number;
  readonly hostAddress?: bigint;
};

/** The part of a block of RAM whose offsets lie in [begin, end). */
function cut({ start, size, offset }: RamBlock, begin: number, end: number): RamBlock[] {
  const from = Math.max(offset, begin);
  const to = Math.min(offset + size, end);
  return from < to ? [{ start: start + from - offset, size: to - from, offset: from - begin }] : [];
}

/**
 * Modules lie behind all RAM from a whole GiB on (pc_get_device_memory_range, hw/i386/pc.c); each
 * without an address takes the first room (memory_device_get_free_addr, hw/mem/memory-device.c).
 */
function placeModules(
  modules: readonly PluggedModule[],
  named: (id: string) => MemoryBackend | undefined,
  base: number,
): RamPart[] | undefined {
  const taken: RamBlock[] = [];
  const parts: RamPart[] = [];
  for (const { backend: id, address, size: told, hostAddress } of modules) {
    const backend = named(id);
    const size = told ?? backend?.size;
    if (size === undefined) return undefined;
    const start = address ?? firstRoom(taken, base, size);
    const block = { start, size, offset: 0 };
    taken.push(block);
    parts.push({ size, backend, blocks: [block], hostAddress });
  }
  return parts;
}

function firstRoom(taken: readonly RamBlock[], base: number, size: number): number {
  let start = base;
  for (const block of taken.toSorted((a, b) => a.start - b.start)) {
    if (block.start >= start + size) break;
    const end = Math.max(start, block.start + block.size);
    start = Math.ceil(end / MODULE_ALIGNMENT) * MODULE_ALIGNMENT;
  }
  return start;
}
