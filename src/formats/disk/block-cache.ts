import { diskBytes } from "./disk-bytes.ts";
import type { DiskBytes } from "./disk-bytes.ts";

/** Blocks by number, the last used of them kept. */
export class BlockCache {
  readonly #kept = new Map<number, Uint8Array>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The block of that number: kept, or made now. What could not be made is not kept. */
  get(number: number, make: () => Uint8Array | undefined): Uint8Array | undefined {
    const known = this.#kept.get(number);
    const block = known ?? make();
    if (block === undefined) return undefined;
    if (known !== undefined) this.#kept.delete(number);
    else if (this.#kept.size >= this.#limit) this.#forgetOldest();
    this.#kept.set(number, block);
    return block;
  }

  clear(): void {
    this.#kept.clear();
  }

  #forgetOldest(): void {
    const oldest = this.#kept.keys().next();
    if (oldest.done !== true) this.#kept.delete(oldest.value);
  }
}

/** A disk whose blocks are kept, for tables that are read a few bytes at a time. */
export class CachedDisk implements DiskBytes {
  readonly size: number;
  readonly #disk: DiskBytes;
  readonly #blockSize: number;
  readonly #blocks: BlockCache;

  constructor(disk: DiskBytes, blockSize: number, count: number) {
    this.#disk = disk;
    this.size = disk.size;
    this.#blockSize = blockSize;
    this.#blocks = new BlockCache(count);
  }

  read(position: number, target: Uint8Array): boolean {
    if (!(position >= 0 && position + target.length <= this.size)) return false;
    const size = this.#blockSize;
    for (let done = 0; done < target.length;) {
      const at = position + done;
      const number = Math.floor(at / size);
      const start = number * size;
      const block = this.#blocks.get(number, () =>
        diskBytes(this.#disk, start, Math.min(size, this.size - start)),
      );
      if (block === undefined) return false;
      const part = block.subarray(at - start, at - start + target.length - done);
      target.set(part, done);
      done += part.length;
    }
    return true;
  }

  clear(): void {
    this.#blocks.clear();
  }
}
