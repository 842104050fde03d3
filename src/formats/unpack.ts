import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { unpackXz } from "./xz.ts";

/** How packed files begin. */
const GZIP = [0x1f, 0x8b];
const ZSTD = [0x28, 0xb5, 0x2f, 0xfd];
const XZ = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];

/**
 * A file as it was before gzip, zstd or xz packed it; one that is not packed is given back as it is.
 * What unfolds to more than `limit` bytes is refused. Never throws.
 */
export function unpackFile(
  bytes: Uint8Array,
  limit: number,
): { ok: true; bytes: Uint8Array } | { ok: false; reason: string } {
  const unpack = unpacker(bytes);
  try {
    if (unpack !== undefined) return { ok: true, bytes: unpack(bytes, { maxOutputLength: limit }) };
  } catch (error) {
    return { ok: false, reason: `it cannot be unpacked: ${(error as Error).message}` };
  }
  if (!startsWith(bytes, XZ)) return { ok: true, bytes };
  const unpacked = unpackXz(bytes, limit);
  return unpacked.ok
    ? unpacked
    : { ok: false, reason: `it cannot be unpacked: ${unpacked.reason}` };
}

type Unpack = (bytes: Uint8Array, options: { maxOutputLength: number }) => Uint8Array;

function unpacker(bytes: Uint8Array): Unpack | undefined {
  if (startsWith(bytes, GZIP)) return gunzipSync;
  return startsWith(bytes, ZSTD) ? zstdDecompressSync : undefined;
}

function startsWith(bytes: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, index) => bytes[index] === byte);
}
