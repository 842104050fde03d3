/**
 * makedumpfile's flattened form: a stream of (offset, size, bytes) writes that stands for a file
 * with random access. QEMU up to 8.1 writes its kdump formats only so (makedumpfile,
 * IMPLEMENTATION, “The flattened format”). All its numbers are big-endian.
 */

/** The first write begins here. */
export const FLAT_HEADER_SIZE = 4096;
/** Size of what precedes the bytes of each write. */
export const FLAT_PIECE_HEADER_SIZE = 16;

const SIGNATURE = Buffer.from("makedumpfile\0\0\0\0");

export type FlatPiece = { readonly offset: number; readonly size: number };

export function isFlattened(head: Uint8Array): boolean {
  return head.length >= 32 && SIGNATURE.equals(head.subarray(0, SIGNATURE.length));
}

/** Type and version as the header gives them; both are 1 so far. */
export function flatVersion(head: Uint8Array): { type: bigint; version: bigint } {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  return { type: view.getBigInt64(16), version: view.getBigInt64(24) };
}

/** The write whose header lies at `at`; `"end"` at the end mark; undefined for anything impossible. */
export function parseFlatPiece(bytes: Uint8Array, at = 0): FlatPiece | "end" | undefined {
  const offset = big(bytes, at);
  const size = big(bytes, at + 8);
  if (bytes[at] === 0xff && bytes[at + 8] === 0xff) {
    return isMinusOne(bytes, at) && isMinusOne(bytes, at + 8) ? "end" : undefined;
  }
  return offset + size <= Number.MAX_SAFE_INTEGER ? { offset, size } : undefined;
}

function big(bytes: Uint8Array, at: number): number {
  let value = 0;
  for (let index = 0; index < 8; index++) value = value * 256 + bytes[at + index];
  return value;
}

function isMinusOne(bytes: Uint8Array, at: number): boolean {
  return bytes.subarray(at, at + 8).every((byte) => byte === 0xff);
}
