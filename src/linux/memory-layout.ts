import { FAULT } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";

/**
 * Where regions begin in a kernel that was built with one place for each (neither
 * CONFIG_RANDOMIZE_MEMORY nor CONFIG_X86_5LEVEL, so without CONFIG_DYNAMIC_MEMORY_LAYOUT): the
 * values for four levels of arch/x86/include/asm/page_64_types.h and pgtable_64_types.h.
 */
const FIXED = {
  page_offset_base: -0x7780_0000_0000,
  vmalloc_base: -0x3700_0000_0000,
  vmemmap_base: -0x1600_0000_0000,
} as const;

/** Start of the direct map, of vmalloc or of `struct page`s; NaN where it cannot be told. */
export function regionBase(kernel: Kernel, variable: keyof typeof FIXED): GuestVirtual {
  const symbol = kernel.symbol(variable);
  if (symbol === symbol) return kernel.space.pointer(symbol);
  return kernel.identity.levels === 4 ? FIXED[variable] : FAULT;
}
