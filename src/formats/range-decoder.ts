/** Probabilities are 11 bits wide, and move by a 32nd towards what was seen. */
const ONE = 2048;
const MOVE = 5;
const HALF = ONE / 2;
const TOP = 2 ** 24;

/** Fresh probabilities: both bits are as likely. */
export function freshProbabilities(count: number): Uint16Array {
  return new Uint16Array(count).fill(HALF);
}

/** The binary range decoder of LZMA. Behind its end it reads zeros: `exhausted` tells. */
export class RangeDecoder {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;
  #range = 0xffffffff;
  #code: number;

  /** Begins at `at` with the five bytes that the encoder flushed first; the first of them is 0. */
  constructor(bytes: Uint8Array, at: number, end: number) {
    this.#bytes = bytes;
    this.#end = end;
    this.#code = ((bytes[at + 1] << 24) | (bytes[at + 2] << 16) | (bytes[at + 3] << 8)) >>> 0;
    this.#code += bytes[at + 4];
    this.#at = at + 5;
  }

  /** More was read than there is. */
  get exhausted(): boolean {
    return this.#at > this.#end;
  }

  /** All was read, and it ended as an encoder ends. */
  get finished(): boolean {
    return this.#at === this.#end && this.#code === 0;
  }

  bit(probabilities: Uint16Array, index: number): 0 | 1 {
    const probability = probabilities[index];
    const bound = (this.#range >>> 11) * probability;
    const isOne = this.#code >= bound;
    if (isOne) {
      this.#range -= bound;
      this.#code -= bound;
      probabilities[index] = probability - (probability >>> MOVE);
    } else {
      this.#range = bound;
      probabilities[index] = probability + ((ONE - probability) >>> MOVE);
    }
    if (this.#range < TOP) this.#refill();
    return isOne ? 1 : 0;
  }

  /** `count` bits, the highest first, whose probabilities are a tree from `base` on. */
  tree(probabilities: Uint16Array, base: number, count: number): number {
    let node = 1;
    for (let left = count; left > 0; left--) {
      node = (node << 1) | this.bit(probabilities, base + node);
    }
    return node - (1 << count);
  }

  /** The same, the lowest bit first. */
  reverseTree(probabilities: Uint16Array, base: number, count: number): number {
    let node = 1;
    let value = 0;
    for (let index = 0; index < count; index++) {
      const bit = this.bit(probabilities, base + node);
      node = (node << 1) | bit;
      value |= bit << index;
    }
    return value;
  }

  /** `count` bits that are as likely 0 as 1. */
  direct(count: number): number {
    let value = 0;
    for (let left = count; left > 0; left--) {
      this.#range >>>= 1;
      const isOne = this.#code >= this.#range;
      if (isOne) this.#code -= this.#range;
      value = (value << 1) | (isOne ? 1 : 0);
      if (this.#range < TOP) this.#refill();
    }
    return value >>> 0;
  }

  #refill(): void {
    this.#range = (this.#range << 8) >>> 0;
    const next = this.#at < this.#end ? this.#bytes[this.#at] : 0;
    this.#code = ((this.#code << 8) | next) >>> 0;
    this.#at++;
  }
}
