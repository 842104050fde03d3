import { RangeDecoder, freshProbabilities } from "./range-decoder.ts";

/** lc, lp and pb: how much of the last byte and of the position chooses the probabilities. */
export type LzmaProperties = {
  readonly literalContext: number;
  readonly literalPosition: number;
  readonly position: number;
};

const STATES = 12;
/** States from here on follow a match, not a literal. */
const AFTER_MATCH = 7;
const MIN_MATCH = 2;
const LITERAL_SIZE = 0x300;
const LENGTH_STATES = 4;
const FIRST_CODED_SLOT = 4;
const FIRST_ALIGNED_SLOT = 14;
const ALIGN_BITS = 4;

/** How long a match is: three trees of growing width. */
class LengthDecoder {
  readonly #choice = freshProbabilities(2);
  readonly #low = freshProbabilities(16 * 8);
  readonly #middle = freshProbabilities(16 * 8);
  readonly #high = freshProbabilities(256);

  decode(range: RangeDecoder, position: number): number {
    if (range.bit(this.#choice, 0) === 0) {
      return MIN_MATCH + range.tree(this.#low, position * 8, 3);
    }
    if (range.bit(this.#choice, 1) === 0) {
      return MIN_MATCH + 8 + range.tree(this.#middle, position * 8, 3);
    }
    return MIN_MATCH + 16 + range.tree(this.#high, 0, 8);
  }
}

/** What an LZMA decoder remembers from one chunk to the next, until its state is reset. */
export class LzmaDecoder {
  readonly #properties: LzmaProperties;
  readonly #isMatch = freshProbabilities(STATES << 4);
  readonly #isRepeat = freshProbabilities(STATES);
  readonly #isRepeat0 = freshProbabilities(STATES);
  readonly #isRepeat1 = freshProbabilities(STATES);
  readonly #isRepeat2 = freshProbabilities(STATES);
  readonly #isLongRepeat0 = freshProbabilities(STATES << 4);
  readonly #slots = freshProbabilities(LENGTH_STATES * 64);
  readonly #special = freshProbabilities(128);
  readonly #align = freshProbabilities(1 << ALIGN_BITS);
  readonly #matchLength = new LengthDecoder();
  readonly #repeatLength = new LengthDecoder();
  readonly #literals: Uint16Array;
  #state = 0;
  /** The last four distances, less one. */
  #repeats: [number, number, number, number] = [0, 0, 0, 0];

  constructor(properties: LzmaProperties) {
    this.#properties = properties;
    const { literalContext, literalPosition } = properties;
    this.#literals = freshProbabilities(LITERAL_SIZE << (literalContext + literalPosition));
  }

  /**
   * Decodes a chunk, `input[at..end)`, to exactly `output[from..to)`. What lies before, back to
   * `dictionary`, may be repeated. False where the input is damaged.
   */
  decode(chunk: {
    readonly input: Uint8Array;
    readonly at: number;
    readonly end: number;
    readonly output: Uint8Array;
    readonly dictionary: number;
    readonly from: number;
    readonly to: number;
  }): boolean {
    const { input, at, end, output, dictionary, to } = chunk;
    if (end - at < 5 || input[at] !== 0) return false;
    const range = new RangeDecoder(input, at, end);
    const mask = (1 << this.#properties.position) - 1;
    let out = chunk.from;
    while (out < to) {
      if (range.exhausted) return false;
      const position = (out - dictionary) & mask;
      if (range.bit(this.#isMatch, (this.#state << 4) + position) === 0) {
        output[out] = this.#literal(range, output, out, dictionary);
        out++;
        continue;
      }
      const length = this.#match(range, position);
      const from = out - this.#repeats[0] - 1;
      if (from < dictionary || out + length > to) return false;
      // A repetition may reach into itself, so bytes go one by one.
      for (let step = 0; step < length; step++) output[out + step] = output[from + step];
      out += length;
    }
    return range.finished;
  }

  #literal(range: RangeDecoder, output: Uint8Array, out: number, dictionary: number): number {
    const { literalContext, literalPosition } = this.#properties;
    const before = out > dictionary ? output[out - 1] : 0;
    const low = (out - dictionary) & ((1 << literalPosition) - 1);
    const context = (low << literalContext) + (before >>> (8 - literalContext));
    const base = context * LITERAL_SIZE;
    const isAfterMatch = this.#state >= AFTER_MATCH;
    this.#state = this.#state < 4 ? 0 : this.#state - (this.#state < 10 ? 3 : 6);
    if (!isAfterMatch) return range.tree(this.#literals, base, 8);
    // The byte that the last match would have gone on with is a hint, as long as it holds.
    let hint = output[out - this.#repeats[0] - 1];
    let node = 1;
    while (node < 0x100) {
      const expected = (hint >>> 7) & 1;
      hint <<= 1;
      const bit = range.bit(this.#literals, base + ((1 + expected) << 8) + node);
      node = (node << 1) | bit;
      if (bit === expected) continue;
      while (node < 0x100) node = (node << 1) | range.bit(this.#literals, base + node);
    }
    return node & 0xff;
  }

  /** The length of a match; its distance is then the first of the repeats. */
  #match(range: RangeDecoder, position: number): number {
    const state = this.#state;
    if (range.bit(this.#isRepeat, state) === 1) return this.#repeat(range, position);
    const length = this.#matchLength.decode(range, position);
    this.#state = state < AFTER_MATCH ? 7 : 10;
    const [first, second, third] = this.#repeats;
    this.#repeats = [this.#distance(range, length), first, second, third];
    return length;
  }

  #repeat(range: RangeDecoder, position: number): number {
    const state = this.#state;
    const [first, second, third, fourth] = this.#repeats;
    if (range.bit(this.#isRepeat0, state) === 0) {
      if (range.bit(this.#isLongRepeat0, (state << 4) + position) === 0) {
        this.#state = state < AFTER_MATCH ? 9 : 11;
        return 1;
      }
    } else if (range.bit(this.#isRepeat1, state) === 0) {
      this.#repeats = [second, first, third, fourth];
    } else if (range.bit(this.#isRepeat2, state) === 0) {
      this.#repeats = [third, first, second, fourth];
    } else {
      this.#repeats = [fourth, first, second, third];
    }
    this.#state = state < AFTER_MATCH ? 8 : 11;
    return this.#repeatLength.decode(range, position);
  }

  #distance(range: RangeDecoder, length: number): number {
    const lengthState = Math.min(length - MIN_MATCH, LENGTH_STATES - 1);
    const slot = range.tree(this.#slots, lengthState * 64, 6);
    if (slot < FIRST_CODED_SLOT) return slot;
    const bits = (slot >>> 1) - 1;
    const base = ((2 | (slot & 1)) << bits) >>> 0;
    if (slot < FIRST_ALIGNED_SLOT) {
      return base + range.reverseTree(this.#special, base - slot, bits);
    }
    const high = range.direct(bits - ALIGN_BITS) * (1 << ALIGN_BITS);
    return base + high + range.reverseTree(this.#align, 0, ALIGN_BITS);
  }
}
