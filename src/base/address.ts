/**
 * Addresses are plain numbers, so that walking lists costs no allocation.
 *
 * `GuestPhysical` is the guest's own physical address (up to 2^52, exact in a double).
 *
 * `GuestVirtual` is a *folded* 64-bit address. User addresses stand for themselves. Kernel
 * addresses are negative: those in the top 256 TiB (all of them with 4-level paging) are the
 * signed 64-bit value; with 5-level paging the direct map, vmalloc and vmemmap lie lower than
 * a double can tell apart, so each populated 256-TiB region gets a slot of its own below
 * (see arch/x86/address-folding.ts). Adding an offset stays exact inside a region.
 *
 * NaN is the fault value: reading through it gives NaN again, and it never equals anything.
 */
declare const physicalBrand: unique symbol;
declare const virtualBrand: unique symbol;

export type GuestPhysical = number & { readonly [physicalBrand]?: true };
export type GuestVirtual = number & { readonly [virtualBrand]?: true };

/** The value of a read that could not be done. */
export const FAULT = Number.NaN;

export const PAGE_SHIFT = 12;
export const PAGE_SIZE = 4096;
