import { u32 } from "./little-endian.ts";

const MAGIC = 0xfd2fb528;
const DICTIONARY_ID = [0, 1, 2, 4];
const CONTENT_SIZE = [0, 2, 4, 8];
const SINGLE_SEGMENT = 0x20;
const CHECKSUM = 0x04;
const RLE_BLOCK = 1;

/**
 * How many bytes the Zstandard frame has with which `bytes` begin (RFC 8878, section 3.1.1): for
 * frames that something else follows. Undefined where it does not end in them.
 */
export function zstdFrameLength(bytes: Uint8Array): number | undefined {
  if (bytes.length < 6 || u32(bytes, 0) !== MAGIC) return undefined;
  const descriptor = bytes[4];
  const isSingle = (descriptor & SINGLE_SEGMENT) !== 0;
  const sizeField = descriptor >>> 6 === 0 && isSingle ? 1 : CONTENT_SIZE[descriptor >>> 6];
  let at = 5 + (isSingle ? 0 : 1) + DICTIONARY_ID[descriptor & 3] + sizeField;
  for (let isLast = false; !isLast;) {
    if (at + 3 > bytes.length) return undefined;
    const header = bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16);
    isLast = (header & 1) === 1;
    at += 3 + (((header >>> 1) & 3) === RLE_BLOCK ? 1 : header >>> 3);
  }
  const end = at + ((descriptor & CHECKSUM) === 0 ? 0 : 4);
  return end <= bytes.length ? end : undefined;
}
