import { isUtf8 } from "node:buffer";

/**
 * A name out of a guest as text. Linux names are bytes; what is not UTF-8 in them is shown as
 * `\xff`, so that two different names never look the same by both having lost their bytes.
 */
export function guestText(bytes: Uint8Array): string {
  if (isUtf8(bytes)) return decode(bytes);
  let text = "";
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes, at);
    text += length === 0 ? escape(bytes[at]!) : decode(bytes.subarray(at, at + length));
    at += length || 1;
  }
  return text;
}

function decode(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

/** Bytes of the well-formed UTF-8 sequence at `at`, 1 to 4; 0 where there is none. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at]!;
  const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (at + length > bytes.length) return 0;
  return isUtf8(bytes.subarray(at, at + length)) ? length : 0;
}

function escape(byte: number): string {
  return `\\x${byte.toString(16).padStart(2, "0")}`;
}
