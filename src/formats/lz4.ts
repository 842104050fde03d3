import { u32 } from "./little-endian.ts";

/** Of the legacy frame that `lz4 -l` writes and the kernel's build uses (lz4_Frame_format.md). */
const LEGACY_MAGIC = 0x184c2102;
/** Every legacy block but the last decompresses to this. */
const BLOCK_SIZE = 8 << 20;

/**
 * Decodes one LZ4 block (lz4_Block_format.md) from `source[from … to)` to `target[out …)`.
 * Returns where the output ends, or −1 for a damaged block: nothing is read or written outside.
 */
export function lz4Block(
  source: Uint8Array,
  from: number,
  to: number,
  target: Uint8Array,
  out: number,
): number {
  const start = out;
  const end = Math.min(to, source.length);
  for (let at = from; at < end;) {
    const token = source[at++];
    let literals = token >> 4;
    if (literals === 15) {
      let more = 255;
      while (more === 255 && at < end) literals += more = source[at++];
    }
    if (at + literals > end || out + literals > target.length) return -1;
    target.set(source.subarray(at, at + literals), out);
    at += literals;
    out += literals;
    if (at >= end) return out;
    const distance = source[at] | (source[at + 1] << 8);
    at += 2;
    let length = (token & 15) + 4;
    if (length === 19) {
      let more = 255;
      while (more === 255 && at < end) length += more = source[at++];
    }
    if (distance === 0 || out - distance < start || at > end) return -1;
    if (out + length > target.length) return -1;
    // Byte by byte: a match may overlap what it writes.
    for (let stop = out + length; out < stop; out++) target[out] = target[out - distance];
  }
  return -1;
}

/** Decodes a legacy frame into `target` until that is full; undefined for a damaged one. */
export function lz4Legacy(source: Uint8Array, target: Uint8Array): Uint8Array | undefined {
  if (source.length < 8 || u32(source, 0) !== LEGACY_MAGIC) return undefined;
  let out = 0;
  for (let at = 4; out < target.length && at + 4 <= source.length;) {
    const size = u32(source, at);
    const room = target.subarray(0, Math.min(target.length, out + BLOCK_SIZE));
    out = size > source.length - at - 4 ? -1 : lz4Block(source, at + 4, at + 4 + size, room, out);
    if (out < 0) return undefined;
    at += 4 + size;
  }
  return out === target.length ? target : undefined;
}
