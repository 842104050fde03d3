import { PAGE_SIZE } from "../base/address.ts";
import type { PhysicalRange } from "./physical-memory.ts";

const BLOCK = 64;
/** Beyond this many ranges, small gaps are counted in, so that the list stays small. */
const MAX_RANGES = 2 ** 20;

/** A bitmap of page frames that answers how many set bits lie before one. */
export class FrameBitmap {
  readonly #bytes: Uint8Array;
  /** Set bits before each block of 64 bytes. */
  readonly #ranks: Float64Array;
  readonly frames: number;

  /** Bits from `frames` on do not count. */
  constructor(bytes: Uint8Array, frames: number) {
    this.frames = Math.min(frames, bytes.length * 8);
    this.#bytes = bytes;
    this.#ranks = new Float64Array(Math.ceil(bytes.length / BLOCK) + 1);
    let rank = 0;
    for (let index = 0; index * BLOCK < bytes.length; index++) {
      this.#ranks[index] = rank;
      const end = Math.min(bytes.length, (index + 1) * BLOCK);
      for (let at = index * BLOCK; at < end; at++) rank += ones[bytes[at]];
    }
    this.#ranks[this.#ranks.length - 1] = rank;
  }

  has(frame: number): boolean {
    const byte = Math.floor(frame / 8);
    return frame < this.frames && ((this.#bytes[byte] >> (frame % 8)) & 1) === 1;
  }

  /** Set bits before `frame`. */
  rank(frame: number): number {
    const byte = Math.floor(frame / 8);
    const block = Math.floor(byte / BLOCK);
    if (byte >= this.#bytes.length) return this.#ranks[this.#ranks.length - 1];
    let rank = this.#ranks[block];
    for (let at = block * BLOCK; at < byte; at++) rank += ones[this.#bytes[at]];
    return rank + ones[this.#bytes[byte] & ((1 << (frame % 8)) - 1)];
  }

  /** The set frames of [from, to) as ranges of addresses. */
  ranges(from: number, to: number): PhysicalRange[] {
    for (let gap = 0; ; gap = gap * 2 + 1) {
      const ranges = this.#rangesAcross(gap, from, Math.min(to, this.frames));
      if (ranges !== undefined) return ranges;
    }
  }

  /** Ranges in which up to `gap` unset frames may lie; undefined if there are too many still. */
  #rangesAcross(gap: number, from: number, to: number): PhysicalRange[] | undefined {
    const ranges: PhysicalRange[] = [];
    for (let frame = this.next(from, to, true); frame < to;) {
      let end = this.next(frame, to, false);
      let next = this.next(end, to, true);
      while (next < to && next - end <= gap) {
        end = this.next(next, to, false);
        next = this.next(end, to, true);
      }
      ranges.push({ start: frame * PAGE_SIZE, size: (end - frame) * PAGE_SIZE });
      if (ranges.length > MAX_RANGES) return undefined;
      frame = next;
    }
    return ranges;
  }

  /** First frame from `frame` on that is set, or unset; `to` if none before it is. */
  next(frame: number, to: number, set: boolean): number {
    const skip = set ? 0 : 0xff;
    let at = frame;
    while (at < to) {
      if (at % 8 === 0 && this.#bytes[at / 8] === skip) at += 8;
      else if (this.has(at) === set) return at;
      else at++;
    }
    return to;
  }
}

const ones = Uint8Array.from({ length: 256 }, (_, byte) => {
  let count = 0;
  for (let rest = byte; rest > 0; rest >>= 1) count += rest & 1;
  return count;
});
