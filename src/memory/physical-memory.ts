import type { GuestPhysical } from "../base/address.ts";

/** A stretch of guest-physical addresses that is backed by RAM. */
export type PhysicalRange = { readonly start: GuestPhysical; readonly size: number };

/**
 * Guest-physical memory, seen through one flat window of host bytes.
 *
 * Hot code asks `offsetOf` once per page and then indexes `u8`/`u32` itself: a mapped RAM file
 * answers with arithmetic, a dump or another process's memory by filling a page slot first.
 * A window offset is valid up to the end of its 4-KiB page, and until the next `offsetOf` or
 * `refresh` for sources whose `stable` is false.
 */
export interface PhysicalMemory extends Disposable {
  /** What backs it, for people: `memfd`, `file`, `anonymous`, `elf-core`, `kdump`, `lime`, … */
  readonly kind: string;
  /** Sorted, disjoint, page-aligned. */
  readonly ranges: readonly PhysicalRange[];
  /** The guest may be running and changing it. */
  readonly live: boolean;
  /** Window offsets keep their meaning for the life of the source (a mapping, not a page cache). */
  readonly stable: boolean;
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  /** Window offset of that byte, or −1 where there is no RAM or it could not be read. */
  offsetOf(physical: GuestPhysical): number;
  /**
   * Bytes from `physical` on, all of them inside one range, or undefined where any is missing.
   * May be a view that changes under the caller's eyes (live mapping): copy before validating twice.
   */
  bytes(physical: GuestPhysical, length: number): Uint8Array | undefined;
  /**
   * Fills `target` without an allocation and past the page cache, for scans, where memory has to be
   * copied. Returns how many bytes it got before the first that could not be read.
   */
  readInto?(physical: GuestPhysical, target: Uint8Array): number;
  /** The stretches worth scanning, where the source knows that the rest was never touched. */
  populated?(): readonly PhysicalRange[];
  /** Gives back what reading a range left resident in this process. */
  forget?(range: PhysicalRange): void;
  /** Forgets copied pages, so that the next read sees the guest as it is now. */
  refresh(): void;
}

/** Sum of all ranges, in bytes. */
export function physicalSize(memory: PhysicalMemory): number {
  return memory.ranges.reduce((sum, range) => sum + range.size, 0);
}
