import { LzmaDecoder } from "./lzma.ts";
import type { LzmaProperties } from "./lzma.ts";

/**
 * A chunk of LZMA2. Its first byte, `control`, says what it is:
 *
 *     0                    the end
 *     1, 2                 bytes as they are, 1 with a new dictionary: size - 1 as u16be, the bytes
 *     1rr….                LZMA: low 5 bits and a u16be are the size - 1, a u16be the packed size - 1;
 *                          rr: 1 new state, 2 with new properties (one byte), 3 with a new dictionary
 */
type Chunk = {
  readonly control: number;
  /** Where its data lie. */
  readonly at: number;
  readonly end: number;
  readonly size: number;
  readonly properties: number | undefined;
};

/** What an LZMA2 stream decodes to, and where it ends; undefined where it is damaged or too large. */
export function decodeLzma2(
  input: Uint8Array,
  start: number,
  limit: number,
): { readonly output: Uint8Array; readonly end: number } | undefined {
  const measured = measure(input, start, limit);
  if (measured === undefined) return undefined;
  const output = new Uint8Array(measured.size);
  let decoder: LzmaDecoder | undefined;
  let properties: LzmaProperties | undefined;
  let dictionary: number | undefined;
  let from = 0;
  for (const { control, at, end, size, properties: byte } of measured.chunks) {
    const reset = control < 0x80 ? 0 : (control >>> 5) & 3;
    if (control === 1 || reset === 3) dictionary = from;
    if (dictionary === undefined) return undefined;
    const to = from + size;
    if (control < 0x80) {
      output.set(input.subarray(at, end), from);
    } else {
      if (byte !== undefined) properties = lzmaProperties(byte);
      if (properties === undefined) return undefined;
      if (reset > 0) decoder = new LzmaDecoder(properties);
      const isGood = decoder?.decode({ input, at, end, output, dictionary, from, to });
      if (isGood !== true) return undefined;
    }
    from = to;
  }
  return { output, end: measured.end };
}

/** Walks the chunks' heads, so that no more is allocated than they fill. */
function measure(
  input: Uint8Array,
  start: number,
  limit: number,
): { readonly chunks: readonly Chunk[]; readonly size: number; readonly end: number } | undefined {
  const chunks: Chunk[] = [];
  let size = 0;
  for (let at = start; at < input.length; at = chunks.at(-1)!.end) {
    if (input[at] === 0) return { chunks, size, end: at + 1 };
    const chunk = chunkAt(input, at);
    if (chunk === undefined || chunk.end > input.length) return undefined;
    size += chunk.size;
    if (size > limit) return undefined;
    chunks.push(chunk);
  }
  return undefined;
}

function chunkAt(input: Uint8Array, start: number): Chunk | undefined {
  const control = input[start];
  const word = (at: number): number => ((input[at] << 8) | input[at + 1]) + 1;
  if (control === 1 || control === 2) {
    const size = word(start + 1);
    const at = start + 3;
    return { control, at, end: at + size, size, properties: undefined };
  }
  if (control < 0x80) return undefined;
  const size = ((control & 0x1f) << 16) + word(start + 1);
  const hasProperties = control >= 0xc0;
  const at = start + (hasProperties ? 6 : 5);
  const properties = hasProperties ? input[start + 5] : undefined;
  return { control, at, end: at + word(start + 3), size, properties };
}

/** (pb * 5 + lp) * 9 + lc; LZMA2 keeps lc + lp at or below 4. */
function lzmaProperties(byte: number): LzmaProperties | undefined {
  const literalContext = byte % 9;
  const literalPosition = Math.floor(byte / 9) % 5;
  const position = Math.floor(byte / 45);
  if (position > 4 || literalContext + literalPosition > 4) return undefined;
  return { literalContext, literalPosition, position };
}
