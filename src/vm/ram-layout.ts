import { pcLayout } from "../memory/ranges.ts";
import type { RamBlock } from "../memory/ranges.ts";
import type { MachineKind } from "./qemu-command-line.ts";

const GIB = 2 ** 30;

/**
 * Where a machine puts `size` bytes of RAM, from its command line alone.
 *
 * - q35: whole below 4 GiB up to 2.75 GiB, else split at 2 GiB (hw/i386/pc_q35.c)
 * - pc: up to 3.5 GiB, else split at 3 GiB (hw/i386/pc_piix.c)
 * - microvm: split at 3 GiB (hw/i386/microvm.c)
 *
 * `max-ram-below-4g` moves the split down.
 */
export function ramLayout(machine: MachineKind, size: number, maxBelow4g?: number): RamBlock[] {
  return pcLayout(size, lowSize(machine, size, maxBelow4g));
}

function lowSize(machine: MachineKind, size: number, maxBelow4g: number | undefined): number {
  const natural = naturalSplit(machine, size);
  return maxBelow4g === undefined ? natural : Math.min(natural, maxBelow4g);
}

function naturalSplit(machine: MachineKind, size: number): number {
  if (machine === "q35") return size >= 2.75 * GIB ? 2 * GIB : size;
  if (machine === "microvm") return 3 * GIB;
  return size >= 3.5 * GIB ? 3 * GIB : size;
}
