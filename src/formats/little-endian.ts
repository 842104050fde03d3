const TWO_32 = 2 ** 32;

/** Unsigned 16 bits at `at`; the caller has checked that they are there. */
export function u16(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8);
}

/** Unsigned 32 bits at `at`; the caller has checked that they are there. */
export function u32(bytes: Uint8Array, at: number): number {
  return (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}

/**
 * Unsigned 64 bits at `at` as a number: exact below 2^53, which every file offset and physical
 * address is. Larger ones lose low bits but stay larger, so bounds checks still refuse them.
 */
export function u64(bytes: Uint8Array, at: number): number {
  return u32(bytes, at + 4) * TWO_32 + u32(bytes, at);
}

/** Unsigned 64 bits at `at`, all of them. */
export function big64(bytes: Uint8Array, at: number): bigint {
  return (BigInt(u32(bytes, at + 4)) << 32n) | BigInt(u32(bytes, at));
}

/** Text up to the first NUL, or to the end of the `length` bytes. */
export function text(bytes: Uint8Array, at: number, length: number): string {
  const field = bytes.subarray(at, at + length);
  const end = field.indexOf(0);
  return Buffer.from(end < 0 ? field : field.subarray(0, end)).toString("latin1");
}
