import { readSync } from "node:fs";
import { nextExtent } from "../native/mmap.ts";
import type { WriteProtection } from "../native/write-protection.ts";
import { writeSparse } from "../memory/sparse-write.ts";

/** What is let go at one stroke when the guest waits for it: the longest that it waits. */
const CHUNK = 64 * 2 ** 10;
/** So many of them are copied at one stroke while it waits for none. */
const STRIDE = 8;

/** Open files: the RAM, the copy, and where in the copy the RAM begins. */
export type BehindFiles = {
  readonly source: number;
  readonly target: number;
  readonly ramAt: number;
};

/** What was copied while the guest ran, and how often it had to wait for it. */
export type BehindResult = { readonly bytesWritten: number; readonly waits: number };

/**
 * Copies RAM while its guest runs, as it was at one moment. Protecting all of it takes long, so that
 * is done before, while the guest runs: what it writes to until the moment comes is let go and
 * noted, and at the moment itself only that has to be protected again. Then piece after piece is
 * copied, and first whatever the guest waits to write to. Nothing is awaited on the way: the guest's
 * writes wait for us.
 */
export class CopyBehind {
  readonly #protection: WriteProtection;
  readonly #files: BehindFiles;
  readonly #size: number;
  /** Pieces that are still to be copied, and those that were let go before the moment. */
  readonly #pending: Uint8Array;
  readonly #open: Set<number> = new Set();
  readonly #buffer = Buffer.alloc(CHUNK * STRIDE);
  #bytesWritten = 0;
  #waits = 0;

  constructor(protection: WriteProtection, files: BehindFiles) {
    this.#protection = protection;
    this.#files = files;
    this.#size = protection.handle.size;
    this.#pending = new Uint8Array(Math.ceil(this.#size / CHUNK)).fill(1);
  }

  /** Before the moment: protects all. */
  protect(): void {
    this.#protection.protect(0, this.#size);
  }

  /** Before the moment: lets go what the guest waits for. To be called again and again. */
  letGo(): void {
    for (const offset of this.#protection.waiting()) {
      const index = Math.floor(offset / CHUNK);
      this.#open.add(index);
      this.#protection.release(index * CHUNK, CHUNK);
    }
  }

  /** The moment, with the guest standing still. */
  protectAgain(): void {
    this.letGo();
    for (const index of this.#open) this.#protection.protect(index * CHUNK, CHUNK);
  }

  /** Behind the moment: copies all and lets it go. */
  copy(): BehindResult {
    for (let at = 0; at < this.#size;) {
      this.#serve();
      // What has no data now had none at the moment either: a guest that fills a hole waits for us.
      const extent = nextExtent(this.#files.source, at, this.#size);
      if (extent === undefined) break;
      const last = Math.ceil(extent.end / CHUNK);
      let index = Math.floor(extent.start / CHUNK);
      while (index < last) index = this.#copySome(index, last);
      at = Math.max(extent.end, last * CHUNK);
    }
    this.#protection.release(0, this.#size);
    return { bytesWritten: this.#bytesWritten, waits: this.#waits };
  }

  /** Copies the next pieces that are still to be copied; returns where to go on. */
  #copySome(from: number, last: number): number {
    this.#serve();
    let index = from;
    while (index < last && this.#pending[index] !== 1) index++;
    let end = index;
    while (end < last && end - index < STRIDE && this.#pending[end] === 1) end++;
    if (end > index) this.#settle(index, end - index);
    return end;
  }

  #serve(): void {
    for (const offset of this.#protection.waiting()) {
      this.#waits++;
      const index = Math.floor(offset / CHUNK);
      if (this.#pending[index] === 1) this.#settle(index, 1);
      else this.#protection.release(index * CHUNK, CHUNK);
    }
  }

  #settle(index: number, count: number): void {
    const { source, target, ramAt } = this.#files;
    const at = index * CHUNK;
    const length = Math.min(count * CHUNK, this.#size - at);
    const got = readSync(source, this.#buffer, 0, length, at);
    this.#bytesWritten += writeSparse(target, this.#buffer.subarray(0, got), ramAt + at);
    this.#pending.fill(0, index, index + count);
    this.#protection.release(at, length);
  }
}
