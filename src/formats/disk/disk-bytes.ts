/**
 * Bytes of a disk, a partition or an image file by position. What lies behind may change at any
 * moment: it is a running guest's.
 */
export interface DiskBytes {
  /** Bytes. */
  readonly size: number;
  /** Fills `target` from `position` on; false where that lies outside, or cannot be read. Never throws. */
  read(position: number, target: Uint8Array): boolean;
}

/** `length` bytes from `position`, or undefined; no more is allocated than the disk has. */
export function diskBytes(
  disk: DiskBytes,
  position: number,
  length: number,
): Uint8Array | undefined {
  if (!(position >= 0 && length >= 0 && position + length <= disk.size)) return undefined;
  const target = new Uint8Array(length);
  return disk.read(position, target) ? target : undefined;
}

/** A stretch of a disk as a disk of its own. What lies behind the disk's end is left out. */
export class DiskSlice implements DiskBytes {
  readonly size: number;
  readonly #disk: DiskBytes;
  readonly #start: number;

  constructor(disk: DiskBytes, start: number, size: number) {
    this.#disk = disk;
    this.#start = start;
    this.size = Math.max(0, Math.min(size, disk.size - start));
  }

  read(position: number, target: Uint8Array): boolean {
    if (!(position >= 0 && position + target.length <= this.size)) return false;
    return this.#disk.read(this.#start + position, target);
  }
}
