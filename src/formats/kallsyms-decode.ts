import { MAX_SYMBOLS } from "./kallsyms-locate.ts";
import type { ImageReader, NameParts } from "./kallsyms-locate.ts";
import type { SymbolTableParts } from "./symbol-table.ts";

/** Names as a SymbolTable has them, in the table's order (which is by address). */
export type DecodedNames = Pick<SymbolTableParts, "names" | "nameOffsets">;

const TOKENS = 256;
const MAX_TOKEN_TABLE = 0x10000;
/** Decoded or not; a kernel's take some 6 MB. */
const MAX_NAME_BYTES = 24 * 1024 * 1024;
/** The kernel's KSYM_NAME_LEN, and the type before the name. */
const MAX_NAME = 513;
/** What one name can take in the output, with the last token's surplus. */
const ROOM = 2 * MAX_NAME + 8;
const SYMBOLS_PER_MARKER = 256;

/**
 * The 256 tokens. Nearly all are at most 8 bytes, so those come ready in two words, and writing
 * a token is two stores (of which the next token overwrites what is too much).
 */
type Tokens = {
  readonly bytes: Uint8Array;
  readonly starts: Uint16Array;
  readonly lengths: Uint16Array;
  readonly low: Uint32Array;
  readonly high: Uint32Array;
};

/**
 * Expands all names. Each is a length (one byte, or two from 128 on: bit 7 is set in the first,
 * which has the low seven bits) and so many token numbers; the first expanded character is the
 * symbol's type. Returns why not where anything disagrees with the markers or is no symbol.
 */
export function decodeNames(image: ImageReader, parts: NameParts): DecodedNames | string {
  const { count, names, markers } = parts;
  if (!(count > 0 && count <= MAX_SYMBOLS)) return "an impossible number of symbols";
  const tokens = readTokens(image, parts);
  if (tokens === undefined) return "a damaged token table";
  if (markers - names > MAX_NAME_BYTES) return "more than 24 MiB of names";
  // Copies: the guest may be writing while we read.
  const input = new Uint8Array(image.bytes.subarray(names, markers));
  const marks = Array.from({ length: Math.ceil(count / SYMBOLS_PER_MARKER) }, (_, block) =>
    image.u32(markers + block * 4),
  );
  return expand(input, count, tokens, marks);
}

function readTokens(image: ImageReader, parts: NameParts): Tokens | undefined {
  const bytes = new Uint8Array(
    image.bytes.subarray(parts.tokenTable, parts.tokenTable + MAX_TOKEN_TABLE),
  );
  const tokens = {
    bytes,
    starts: new Uint16Array(TOKENS),
    lengths: new Uint16Array(TOKENS),
    low: new Uint32Array(TOKENS),
    high: new Uint32Array(TOKENS),
  };
  for (let token = 0; token < TOKENS; token++) {
    const start = image.u16(parts.tokenIndex + token * 2);
    if (!(start < bytes.length)) return undefined;
    let end = start;
    while (end < bytes.length && bytes[end] > 0x20 && bytes[end] < 0x7f) end++;
    if (bytes[end] !== 0 || end - start > MAX_NAME) return undefined;
    tokens.starts[token] = start;
    tokens.lengths[token] = end - start;
    for (let i = 0; i < Math.min(4, end - start); i++) {
      tokens.low[token] |= bytes[start + i] << (i * 8);
    }
    for (let i = 4; i < Math.min(8, end - start); i++) {
      tokens.high[token] |= bytes[start + i] << (i * 8);
    }
  }
  return tokens;
}

function expand(
  input: Uint8Array,
  count: number,
  { bytes, starts, lengths, low, high }: Tokens,
  marks: readonly number[],
): DecodedNames | string {
  const nameOffsets = new Uint32Array(count + 1);
  let out = new DataView(new ArrayBuffer(input.length * 2 + ROOM));
  let at = 0;
  let to = 0;
  for (let i = 0; i < count; i++) {
    if (i % SYMBOLS_PER_MARKER === 0 && marks[i / SYMBOLS_PER_MARKER] !== at) {
      return `marker ${i / SYMBOLS_PER_MARKER} does not point at its name`;
    }
    let length = input[at++];
    if (length > 0x7f) length = (length & 0x7f) | (input[at++] << 7);
    const end = at + length;
    if (!(length > 0 && end <= input.length)) return `name ${i} runs out of the table`;
    if (to + ROOM > out.byteLength) {
      if (to > MAX_NAME_BYTES) return "more than 24 MiB of names";
      out = grown(out);
    }
    const start = to;
    nameOffsets[i] = start;
    while (at < end) {
      const token = input[at++];
      const size = lengths[token];
      out.setUint32(to, low[token], true);
      if (size > 4) {
        out.setUint32(to + 4, high[token], true);
        for (let k = 8; k < size; k++) out.setUint8(to + k, bytes[starts[token] + k]);
      }
      to += size;
      if (to - start > MAX_NAME) return `name ${i} is longer than any symbol`;
    }
    if (to - start < 2) return `name ${i} is empty`;
    if (!isType(out.getUint8(start))) return `name ${i} has no symbol type`;
  }
  nameOffsets[count] = to;
  return { names: new Uint8Array(out.buffer, 0, to), nameOffsets };
}

function grown(view: DataView<ArrayBuffer>): DataView<ArrayBuffer> {
  const larger = new Uint8Array(view.byteLength * 2);
  larger.set(new Uint8Array(view.buffer));
  return new DataView(larger.buffer);
}

/** A letter as nm prints it, or `?`. */
function isType(letter: number): boolean {
  return (letter | 0x20) >= 0x61 && (letter | 0x20) <= 0x7a ? true : letter === 0x3f;
}
