/**
 * LZO1X decoder for the pages of kdump-lzo dumps. The instruction set is that of the kernel's
 * Documentation/staging/lzo.rst, bitstream version 0 (what lzo1x_1_compress writes).
 *
 * Hostile input ends in −1: no read outside [`from`, `to`), no write outside `target`.
 */

/** Distance base of the far match (0001HLLL); exactly this distance marks the end of the stream. */
const FAR_BASE = 16_384;
/** Distance base of the three-byte match that may follow a literal run. */
const AFTER_RUN_BASE = 2049;

/** Decodes `source[from..to)` into `target`. Returns the number of bytes written, or −1. */
export function lzo1xDecompress(
  source: Uint8Array,
  from: number,
  to: number,
  target: Uint8Array,
): number {
  return new Decoder(source, from, to, target).run();
}

class Decoder {
  readonly #source: Uint8Array;
  readonly #end: number;
  readonly #target: Uint8Array;
  #in: number;
  #out = 0;
  /** Literals that the last instruction copied: 0 to 3, or 4 after a literal run. */
  #state = 0;

  constructor(source: Uint8Array, from: number, to: number, target: Uint8Array) {
    this.#source = source;
    this.#in = from;
    this.#end = Math.min(to, source.length);
    this.#target = target;
  }

  run(): number {
    if (this.#in < this.#end && this.#source[this.#in] > 17) {
      const count = this.#source[this.#in++] - 17;
      if (!this.#literals(count)) return -1;
    }
    while (this.#in < this.#end) {
      const op = this.#source[this.#in++];
      if (op >= 64) {
        if (!this.#near(op)) return -1;
      } else if (op >= 32) {
        if (!this.#middle(op)) return -1;
      } else if (op >= 16) {
        const more = this.#far(op);
        if (more === undefined) return this.#in === this.#end ? this.#out : -1;
        if (!more) return -1;
      } else if (this.#state === 0) {
        const length = this.#length(op, 15);
        if (length < 0 || !this.#literals(length + 3)) return -1;
      } else if (!this.#short(op)) return -1;
    }
    return -1;
  }

  /** 01LDDDSS and 1LLDDDSS: 3 to 8 bytes from up to 2 KiB back. */
  #near(op: number): boolean {
    if (this.#in >= this.#end) return false;
    const high = this.#source[this.#in++];
    const length = op >= 128 ? 5 + ((op >> 5) & 3) : 3 + ((op >> 5) & 1);
    return this.#match((high << 3) + ((op >> 2) & 7) + 1, length) && this.#trailing(op & 3);
  }

  /** 001LLLLL: any length from up to 16 KiB back. */
  #middle(op: number): boolean {
    const length = this.#length(op & 31, 31);
    if (length < 0 || this.#in + 2 > this.#end) return false;
    const word = this.#source[this.#in] | (this.#source[this.#in + 1] << 8);
    this.#in += 2;
    return this.#match((word >> 2) + 1, length + 2) && this.#trailing(word & 3);
  }

  /** 0001HLLL: any length from 16 to 48 KiB back; undefined at the end of the stream. */
  #far(op: number): boolean | undefined {
    const length = this.#length(op & 7, 7);
    if (length < 0 || this.#in + 2 > this.#end) return false;
    const word = this.#source[this.#in] | (this.#source[this.#in + 1] << 8);
    this.#in += 2;
    const distance = FAR_BASE + ((op & 8) << 11) + (word >> 2);
    if (distance === FAR_BASE) return undefined;
    return this.#match(distance, length + 2) && this.#trailing(word & 3);
  }

  /** 0000DDSS after literals: two bytes from up to 1 KiB back, or three from beyond 2 KiB. */
  #short(op: number): boolean {
    if (this.#in >= this.#end) return false;
    const near = (this.#source[this.#in++] << 2) + (op >> 2);
    const matched =
      this.#state === 4 ? this.#match(near + AFTER_RUN_BASE, 3) : this.#match(near + 1, 2);
    return matched && this.#trailing(op & 3);
  }

  /** A length field: `bits` itself, or if zero, `base` plus 255 for each zero byte plus the next. */
  #length(bits: number, base: number): number {
    if (bits !== 0) return bits;
    let length = base;
    while (this.#in < this.#end) {
      const byte = this.#source[this.#in++];
      if (byte !== 0) return length + byte;
      length += 255;
      if (length > this.#target.length) return -1;
    }
    return -1;
  }

  #trailing(count: number): boolean {
    this.#state = 0;
    return count === 0 || this.#literals(count);
  }

  #literals(count: number): boolean {
    const source = this.#source;
    const target = this.#target;
    let from = this.#in;
    let out = this.#out;
    if (from + count > this.#end || out + count > target.length) return false;
    for (const stop = from + count; from < stop;) target[out++] = source[from++];
    this.#in = from;
    this.#out = out;
    this.#state = count > 3 ? 4 : count;
    return true;
  }

  #match(distance: number, length: number): boolean {
    const target = this.#target;
    let out = this.#out;
    let from = out - distance;
    if (from < 0 || out + length > target.length) return false;
    for (const stop = out + length; out < stop;) target[out++] = target[from++];
    this.#out = out;
    return true;
  }
}
