import { PAGE_SIZE } from "../base/address.ts";
import type { GuestPhysical } from "../base/address.ts";
import type { PhysicalRange } from "./physical-memory.ts";

const FOUR_GIB = 2 ** 32;

/** One block of RAM: `size` bytes at guest-physical `start` lie at `offset` of the backing. */
export type RamBlock = PhysicalRange & { readonly offset: number };

/**
 * Where a PC's RAM of `size` bytes appears to the guest: all of it from 0, or split at `lowSize`
 * with the rest from 4 GiB on (QEMU hw/i386/pc.c: below_4g_mem_size, above_4g_mem_size).
 */
export function pcLayout(size: number, lowSize: number): RamBlock[] {
  if (size <= lowSize) return [{ start: 0, size, offset: 0 }];
  return [
    { start: 0, size: lowSize, offset: 0 },
    { start: FOUR_GIB, size: size - lowSize, offset: lowSize },
  ];
}

/** The block that holds `physical`, or undefined. Few blocks, so a plain search is the fastest. */
export function blockOf<Block extends PhysicalRange>(
  blocks: readonly Block[],
  physical: GuestPhysical,
): Block | undefined {
  for (const block of blocks) {
    if (physical >= block.start && physical < block.start + block.size) return block;
  }
  return undefined;
}

/** The parts of `stretches` that lie inside `ranges`; both sorted and disjoint. */
export function clipRanges(
  ranges: readonly PhysicalRange[],
  stretches: readonly PhysicalRange[],
): PhysicalRange[] {
  const clipped: PhysicalRange[] = [];
  let at = 0;
  for (const range of ranges) {
    const end = range.start + range.size;
    while (at < stretches.length && stretches[at].start + stretches[at].size <= range.start) at++;
    for (let next = at; next < stretches.length && stretches[next].start < end; next++) {
      const start = Math.max(stretches[next].start, range.start);
      const size = Math.min(stretches[next].start + stretches[next].size, end) - start;
      if (size > 0) clipped.push({ start, size });
    }
  }
  return clipped;
}

/** Appends [start, end) widened to whole pages, joined with the last one where they touch. */
export function addPages(found: PhysicalRange[], start: number, end: number): void {
  const first = Math.floor(start / PAGE_SIZE) * PAGE_SIZE;
  const last = Math.ceil(end / PAGE_SIZE) * PAGE_SIZE;
  const previous = found.at(-1);
  if (previous !== undefined && previous.start + previous.size >= first) {
    const size = Math.max(previous.size, last - previous.start);
    found[found.length - 1] = { start: previous.start, size };
  } else found.push({ start: first, size: last - first });
}
