/**
 * Decoder of the raw snappy format (google/snappy, format_description.txt), as kdump-snappy pages
 * and the chunks of AVML files hold it.
 *
 * Hostile input ends in −1: no read outside [`from`, `to`), no write outside `target`.
 */

/** The uncompressed length that a block announces, and where its first element begins. */
export function snappyPreamble(
  source: Uint8Array,
  from: number,
  to: number,
): { length: number; at: number } | undefined {
  let length = 0;
  for (let index = 0; index < 5 && from + index < to; index++) {
    const byte = source[from + index];
    length += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return length < 2 ** 32 ? { length, at: from + index + 1 } : undefined;
  }
  return undefined;
}

/**
 * Decodes `source[from..to)` into `target`. Returns the number of bytes written, which equals
 * the announced length, or −1.
 */
export function snappyDecompress(
  source: Uint8Array,
  from: number,
  to: number,
  target: Uint8Array,
): number {
  const end = Math.min(to, source.length);
  const preamble = snappyPreamble(source, from, end);
  if (preamble === undefined || preamble.length > target.length) return -1;
  return elements(source, preamble.at, end, target, preamble.length);
}

function elements(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  length: number,
): number {
  let at = start;
  let out = 0;
  while (at < end) {
    const tag = source[at++];
    let from: number;
    let count = (tag >> 2) + 1;
    if ((tag & 3) === 0) {
      const extra = count > 60 ? count - 60 : 0;
      if (at + extra > end) return -1;
      if (extra > 0) count = littleEndian(source, at, extra) + 1;
      at += extra;
      if (at + count > end || out + count > length) return -1;
      for (const stop = out + count; out < stop;) target[out++] = source[at++];
      continue;
    }
    const width = (tag & 3) === 3 ? 4 : tag & 3;
    if (at + width > end) return -1;
    if (width === 1) {
      count = ((tag >> 2) & 7) + 4;
      from = out - (((tag >> 5) << 8) | source[at]);
    } else from = out - littleEndian(source, at, width);
    at += width;
    if (from < 0 || from >= out || out + count > length) return -1;
    for (const stop = out + count; out < stop;) target[out++] = target[from++];
  }
  return out === length ? out : -1;
}

function littleEndian(source: Uint8Array, at: number, width: number): number {
  let value = 0;
  for (let index = width - 1; index >= 0; index--) value = value * 256 + source[at + index];
  return value;
}
