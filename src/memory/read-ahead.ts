import type { ByteSource } from "./byte-source.ts";

/** Reads a source in large blocks for callers that want small pieces, mostly of neighbours. */
export class ReadAhead {
  readonly #source: ByteSource;
  readonly #size: number;
  readonly #blocks: (Uint8Array | undefined)[];
  readonly #positions: Float64Array;

  /** Keeps up to `blocks` blocks of `size` bytes, each in the only place where it may be. */
  constructor(source: ByteSource, size: number, blocks: number) {
    this.#source = source;
    this.#size = size;
    this.#blocks = Array.from({ length: blocks }, () => undefined);
    this.#positions = new Float64Array(blocks).fill(-1);
  }

  /** Copies from `position` into `target`; false where the source ends or fails before that. */
  read(position: number, target: Uint8Array): boolean {
    for (let done = 0; done < target.length;) {
      const at = position + done;
      const number = Math.floor(at / this.#size);
      const block = this.#block(number);
      const within = at - number * this.#size;
      const length = Math.min(target.length - done, block.length - within);
      if (length <= 0) return false;
      // A loop, because pieces are small: 24 bytes of a descriptor, a compressed page.
      for (let index = 0; index < length; index++) target[done + index] = block[within + index];
      done += length;
    }
    return true;
  }

  #block(number: number): Uint8Array {
    const slot = number % this.#blocks.length;
    let block = this.#blocks[slot];
    if (block !== undefined && this.#positions[slot] === number) return block;
    // A block that came back short is replaced by a new buffer, as it no longer has its full size.
    if (block === undefined || block.length < this.#size) block = new Uint8Array(this.#size);
    const got = this.#source.read(number * this.#size, block);
    if (got < block.length) block = block.slice(0, got);
    this.#blocks[slot] = block;
    this.#positions[slot] = number;
    return block;
  }
}
