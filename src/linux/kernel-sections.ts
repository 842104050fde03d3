import { hasBooted } from "./boot-stage.ts";
import type { AddressRange } from "./address-ranges.ts";
import type { Kernel } from "./kernel.ts";

/** What lies in a part of the kernel's own image; `image` for notes, tables and gaps. */
export type KernelSectionName =
  | "text"
  | "rodata"
  | "ro_after_init"
  | "data"
  | "init"
  | "freed"
  | "bss"
  | "image";

export type KernelSection = AddressRange & { readonly name: KernelSectionName };

/** What begins at each symbol of the linker script (arch/x86/kernel/vmlinux.lds.S). */
const BOUNDARIES: readonly (readonly [symbol: string, name: KernelSectionName | undefined])[] = [
  ["_stext", "text"],
  ["_etext", "image"],
  ["__start_rodata", "rodata"],
  ["__start_ro_after_init", "ro_after_init"],
  ["__end_ro_after_init", "rodata"],
  ["__end_rodata", "image"],
  ["_sdata", "data"],
  ["_edata", "image"],
  ["__init_begin", "init"],
  ["__init_end", "image"],
  ["__bss_start", "bss"],
  ["__bss_stop", "image"],
  ["_end", undefined],
];

/**
 * Sections of the image. Once the kernel runs, its init sections are `freed`: their pages have
 * been given back, and belong to whoever got them.
 */
export function kernelSections(kernel: Kernel): KernelSection[] {
  const known = BOUNDARIES.map(([symbol, name]) => ({ start: kernel.symbol(symbol), name }))
    .filter(({ start }) => start === start)
    .toSorted((a, b) => a.start - b.start);
  const running = hasBooted(kernel);
  return known.flatMap(({ start, name }, index) => {
    const end = known[index + 1]?.start;
    if (name === undefined || end === undefined) return [];
    return [{ start, end, name: name === "init" && running ? "freed" : name }];
  });
}
