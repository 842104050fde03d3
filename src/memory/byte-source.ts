import type { Extent } from "../native/mmap.ts";

/** Bytes at positions, from a file or from something that stands for one. Never throws. */
export interface ByteSource extends Disposable {
  readonly size: number;
  /**
   * Fills `target` from `position` on. Returns how many bytes it got: fewer than asked at the
   * end, or where the medium fails.
   */
  read(position: number, target: Uint8Array): number;
  /** The stretches that hold data, where the rest is known to be zero. */
  extents?(): Extent[];
}

/** Exactly `length` bytes from `position`, or undefined. The caller bounds `length`. */
export function readBytes(
  source: ByteSource,
  position: number,
  length: number,
): Uint8Array | undefined {
  if (!(position >= 0) || !(position + length <= source.size)) return undefined;
  const target = new Uint8Array(length);
  return source.read(position, target) === length ? target : undefined;
}
