import { findDigits } from "./kallsyms-digits.ts";

/**
 * Finds the parts of a kallsyms table in a kernel image by their content, as scripts/kallsyms.c
 * of each release lays them out in .rodata:
 *
 *     up to 6.3:  offsets, relative_base, num_syms, names, markers, [seqs,] token_table, token_index
 *     6.4 on:     num_syms, names, markers, token_table, token_index, offsets, [relative_base,] seqs
 *
 * Every part is 8-byte aligned, from 7.0 on 4-byte. `seqs` (3 bytes a symbol) came with 6.2 and
 * 6.1.42; relative_base went with 7.0. The parts from num_syms to token_index are in one order
 * everywhere, so they are found first.
 */

/** Where the order-independent parts lie; byte offsets into the image. */
export type NameParts = {
  readonly count: number;
  readonly countAt: number;
  readonly names: number;
  readonly markers: number;
  readonly tokenTable: number;
  readonly tokenIndex: number;
};

export type TokenParts = Pick<NameParts, "tokenTable" | "tokenIndex">;

/** A kernel with everything built in has some 250,000. */
export const MAX_SYMBOLS = 1 << 20;
const DIGIT_TOKEN = 0x30;
const TOKENS = 256;
/** The index is of u16; real tables take about 1 KiB. */
const MAX_TOKEN_TABLE = 8192;
/** Bytes that 256 names can take: 2 for the shortest, KSYM_NAME_LEN + 2 for the longest. */
const MIN_STEP = 512;
const MAX_STEP = 256 * 514;
const SYMBOLS_PER_MARKER = 256;
/** Rows of digits that are looked at before giving up; a real image has about 20. */
const MAX_HITS = 1 << 16;

/** What a search may still try, so that an image full of look-alikes ends it soon. */
export class SearchBudget {
  /** Token tables followed. */
  tokens = 64;
  /** Marker tables followed. */
  markers = 4096;
  /** Runs of 256 names walked over. */
  names = 65_536;
  /** Tables decoded. */
  tables = 16;
}

/** A live image may change between two reads: every value is read once, then checked. */
export class ImageReader {
  readonly bytes: Buffer;
  readonly #view: DataView;

  constructor(image: Uint8Array) {
    this.bytes = Buffer.from(image.buffer, image.byteOffset, image.length);
    this.#view = new DataView(image.buffer, image.byteOffset, image.length);
  }

  u16(at: number): number {
    return this.#inside(at, 2) ? this.#view.getUint16(at, true) : Number.NaN;
  }

  u32(at: number): number {
    return this.#inside(at, 4) ? this.#view.getUint32(at, true) : Number.NaN;
  }

  /** As a signed number; exact for addresses of the kernel image. */
  s64(at: number): number {
    if (!this.#inside(at, 8)) return Number.NaN;
    return this.#view.getInt32(at + 4, true) * 2 ** 32 + this.#view.getUint32(at, true);
  }

  #inside(at: number, length: number): boolean {
    return at >= 0 && at + length <= this.bytes.length;
  }
}

/** Every pair of a token table and the index that belongs to it. */
export function* findTokens(image: ImageReader): Generator<TokenParts> {
  let hits = 0;
  for (const digits of findDigits(image.bytes)) {
    if (hits++ >= MAX_HITS) return;
    const parts = tokensAround(image, digits);
    if (parts !== undefined) yield parts;
  }
}

/** `digits` is where token 0x30 is; the tokens behind it lead to the index, that to the start. */
function tokensAround(image: ImageReader, digits: number): TokenParts | undefined {
  let end = digits;
  const limit = Math.min(digits + MAX_TOKEN_TABLE, image.bytes.length);
  for (let token = DIGIT_TOKEN; token < TOKENS; token++) {
    while (end < limit && image.bytes[end] !== 0) end++;
    if (end >= limit) return undefined;
    end++;
  }
  for (const tokenIndex of alignments(end)) {
    const tokenTable = digits - image.u16(tokenIndex + DIGIT_TOKEN * 2);
    if (!(tokenTable >= 0 && tokenTable % 4 === 0) || image.u16(tokenIndex) !== 0) continue;
    if (checkTokenIndex(image, tokenTable, tokenIndex, end)) return { tokenTable, tokenIndex };
  }
  return undefined;
}

/** Every index entry must point right behind the NUL of the token before. */
function checkTokenIndex(
  image: ImageReader,
  tokenTable: number,
  tokenIndex: number,
  end: number,
): boolean {
  let at = tokenTable;
  for (let token = 0; token < TOKENS; token++) {
    if (image.u16(tokenIndex + token * 2) !== at - tokenTable) return false;
    while (at < end && image.bytes[at] !== 0) at++;
    if (at++ >= end || at - tokenTable > 0xffff) return false;
  }
  return true;
}

/** Goes from a token table back over markers to the names and their count. */
export function findNames(
  image: ImageReader,
  tokens: TokenParts,
  budget: SearchBudget,
): NameParts | string {
  const nearest = tokens.tokenTable - 4;
  const farthest = Math.max(0, nearest - 3 * MAX_SYMBOLS - MAX_SYMBOLS / 64);
  for (let at = nearest; at >= farthest; at -= 4) {
    if (image.u32(at) !== 0 || !isStep(image.u32(at + 4))) continue;
    if (budget.markers-- <= 0) return "too many look-alikes of kallsyms markers";
    for (const marks of markersAt(image, at)) {
      const found = namesBefore(image, at, marks, budget);
      if (found === undefined) continue;
      const ends = alignments(at + marks.count * 4);
      const withSeqs = ends.flatMap((seqs) => alignments(seqs + found.count * 3));
      if ([...ends, ...withSeqs].includes(tokens.tokenTable)) {
        return { ...tokens, markers: at, ...found };
      }
    }
  }
  return "no markers before the kallsyms token table";
}

function isStep(step: number): boolean {
  return step >= MIN_STEP && step <= MAX_STEP;
}

type Markers = { readonly count: number; readonly last: number };

/** What follows the markers can look like one or two more of them. */
const OVERCOUNT = 2;

/** How many u32 from `at` on rise by plausible steps, and the last of them; then the same for fewer. */
function markersAt(image: ImageReader, at: number): Markers[] {
  const found: Markers[] = [{ count: 1, last: 0 }];
  while (found.length <= MAX_SYMBOLS / SYMBOLS_PER_MARKER) {
    const next = image.u32(at + found.length * 4);
    if (!isStep(next - found.at(-1)!.last)) break;
    found.push({ count: found.length + 1, last: next });
  }
  return found
    .slice(1)
    .toReversed()
    .slice(0, 1 + OVERCOUNT);
}

/** The count lies right before the names, and their end less than a step behind the last marker. */
function namesBefore(
  image: ImageReader,
  markers: number,
  marks: Markers,
  budget: SearchBudget,
): Pick<NameParts, "count" | "countAt" | "names"> | undefined {
  const nearest = markers - marks.last - ((markers - marks.last) % 4);
  const firstStep = image.u32(markers + 4);
  for (let names = nearest; names >= Math.max(4, nearest - MAX_STEP); names -= 4) {
    const countAt = countBefore(image, names, marks.count);
    if (countAt === undefined) continue;
    if (budget.names-- <= 0) return undefined;
    if (skipNames(image, names, SYMBOLS_PER_MARKER) !== names + firstStep) continue;
    const count = image.u32(countAt);
    budget.names -= marks.count;
    // Names of equal lengths would also fit a few names further on, but not end where the markers begin.
    if (!alignments(skipNames(image, names, count)).includes(markers)) continue;
    return { count, countAt, names };
  }
  return undefined;
}

/** Where the number of symbols is: right before the names, or with four bytes of padding between. */
function countBefore(image: ImageReader, names: number, markers: number): number | undefined {
  const fits = (at: number): boolean => Math.ceil(image.u32(at) / SYMBOLS_PER_MARKER) === markers;
  if (fits(names - 4)) return names - 4;
  return image.u32(names - 4) === 0 && fits(names - 8) ? names - 8 : undefined;
}

/** Offset behind `count` names. */
function skipNames(image: ImageReader, at: number, count: number): number {
  for (let i = 0; i < count; i++) {
    const first = image.bytes[at];
    at += first < 0x80 ? 1 + first : 2 + ((first & 0x7f) | (image.bytes[at + 1] << 7));
  }
  return at;
}

/** Where a part can begin that is aligned behind `end`. */
export function alignments(end: number): number[] {
  const four = Math.ceil(end / 4) * 4;
  const eight = Math.ceil(end / 8) * 8;
  return four === eight ? [four] : [four, eight];
}
