import type { Piece } from "./region.ts";

/** A stretch of a region as the rules see it. */
export type Window = {
  /** Where its first byte belongs in the region. */
  readonly at: number;
  /** The bytes; zeros where the region has none in memory. Valid until the next window. */
  readonly bytes: Buffer;
  /** How many of the first bytes the window before had too. */
  readonly overlap: number;
  /** Whether all of these bytes were in memory. */
  isPresent(offset: number, length: number): boolean;
};

const PAGE = 4096;
/** How much is held at once. */
export const WINDOW = 8 * 2 ** 20;
/** A match that crosses from one window into the next is found if it is no longer than this. */
export const OVERLAP = 64 * 2 ** 10;
/** A longer stretch without memory ends a window: nobody's pattern goes over it. */
const GAP = 2 ** 20;

/**
 * Puts the pieces of a region together, so that what lies across pages is seen whole. A window
 * begins where memory does; short stretches that are not in memory are zeros in it, long ones end
 * it. Windows that follow one another share `OVERLAP` bytes. Takes no more memory than one window.
 */
export class Windows {
  readonly #size: number;
  readonly #shared: number;
  readonly #bytes: Buffer;
  readonly #present: Uint8Array;
  #at = 0;
  #length = 0;
  #overlap = 0;

  /** Sizes in bytes, whole pages. */
  constructor(size = WINDOW, shared = OVERLAP) {
    this.#size = size;
    this.#shared = shared;
    this.#bytes = Buffer.alloc(size);
    this.#present = new Uint8Array(size / PAGE);
  }

  *over(pieces: Iterable<Piece>): Generator<Window> {
    this.#clear();
    for (const { at, bytes } of pieces) {
      if (this.#length === 0 || at - (this.#at + this.#length) > GAP || at < this.#at) {
        if (this.#length > 0) yield this.#window();
        this.#begin(at);
      }
      for (let done = 0; done < bytes.length;) {
        let offset = at + done - this.#at;
        if (offset >= this.#size) {
          yield this.#window();
          this.#slide();
          offset = at + done - this.#at;
        }
        if (offset >= this.#size) {
          this.#begin(at + done);
          offset = at + done - this.#at;
        }
        const size = Math.min(bytes.length - done, this.#size - offset);
        this.#put(offset, bytes.subarray(done, done + size));
        done += size;
      }
    }
    if (this.#length > 0) yield this.#window();
  }

  /** Begins at the page's start, so that present pages can be told from others. */
  #begin(at: number): void {
    this.#clear();
    this.#at = at - (((at % PAGE) + PAGE) % PAGE);
  }

  #clear(): void {
    this.#bytes.fill(0, 0, this.#length);
    this.#present.fill(0, 0, Math.ceil(this.#length / PAGE));
    this.#length = 0;
    this.#overlap = 0;
  }

  #put(offset: number, bytes: Uint8Array): void {
    this.#bytes.set(bytes, offset);
    this.#length = Math.max(this.#length, offset + bytes.length);
    const last = Math.floor((offset + bytes.length - 1) / PAGE);
    for (let page = Math.floor(offset / PAGE); page <= last; page++) this.#present[page] = 1;
  }

  /** Keeps the end of a full window as the beginning of the next. */
  #slide(): void {
    const step = this.#size - this.#shared;
    this.#at += step;
    this.#bytes.copyWithin(0, step);
    this.#bytes.fill(0, this.#shared);
    this.#present.copyWithin(0, step / PAGE);
    this.#present.fill(0, this.#shared / PAGE);
    this.#length = this.#shared;
    this.#overlap = this.#shared;
  }

  #window(): Window {
    const present = this.#present;
    return {
      at: this.#at,
      bytes: this.#bytes.subarray(0, this.#length),
      overlap: this.#overlap,
      isPresent(offset, length) {
        for (let page = Math.floor(offset / PAGE); page * PAGE < offset + length; page++) {
          if (present[page] !== 1) return false;
        }
        return true;
      },
    };
  }
}
