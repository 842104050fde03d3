import type { PhysicalRange } from "./physical-memory.ts";

/** What one dump format does: finding the bytes of guest-physical addresses in its file. */
export interface PageReader extends Disposable {
  /** Sorted, disjoint, page-aligned. */
  readonly ranges: readonly PhysicalRange[];
  /**
   * Fills `target` from `physical` on, which lies in one range with its whole length. Returns
   * how many bytes it got before the first that is missing or damaged.
   */
  read(physical: number, target: Uint8Array): number;
  /** The stretches that are not known to be zero. */
  populated?(): PhysicalRange[];
}
