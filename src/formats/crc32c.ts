/** CRC-32C (Castagnoli, RFC 3720 appendix B.4), which snappy frames and ext4 metadata are checked with. */

const POLYNOMIAL = 0x82f63b78;
const SLICES = 8;
const tables = buildTables();

function buildTables(): Uint32Array {
  const built = new Uint32Array(256 * SLICES);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    built[byte] = crc;
  }
  for (let index = 256; index < built.length; index++) {
    const previous = built[index - 256];
    built[index] = (previous >>> 8) ^ built[previous & 0xff];
  }
  return built;
}

/** CRC-32C of `bytes`. */
export function crc32c(bytes: Uint8Array): number {
  return (continueCrc32c(0xffffffff, bytes) ^ 0xffffffff) >>> 0;
}

/** Goes on from `start` over `bytes`, eight of them a step, inverting neither (the kernel's crc32c_le). */
export function continueCrc32c(start: number, bytes: Uint8Array): number {
  const t = tables;
  let crc = start;
  let at = 0;
  for (const stop = bytes.length - 7; at < stop; at += SLICES) {
    crc ^= bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    crc =
      t[0x700 + (crc & 0xff)] ^
      t[0x600 + ((crc >>> 8) & 0xff)] ^
      t[0x500 + ((crc >>> 16) & 0xff)] ^
      t[0x400 + (crc >>> 24)] ^
      t[0x300 + bytes[at + 4]] ^
      t[0x200 + bytes[at + 5]] ^
      t[0x100 + bytes[at + 6]] ^
      t[bytes[at + 7]];
  }
  for (; at < bytes.length; at++) crc = (crc >>> 8) ^ t[(crc ^ bytes[at]) & 0xff];
  return crc >>> 0;
}

/** The form in which the snappy framing format stores it (framing_format.txt, section 3). */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
