import { crc32 } from "node:zlib";
import { createHash } from "node:crypto";
import { u32 } from "./little-endian.ts";
import { decodeLzma2 } from "./lzma2.ts";
import { undoX86BranchFilter } from "./x86-branch-filter.ts";

/**
 * The .xz container (tukaani.org/xz/xz-file-format.txt), as far as the kernel's own packer and
 * `xz` use it: one stream of blocks, each packed with LZMA2, before which the x86 filter may stand.
 *
 *     stream: fd "7zXZ" 0 | 0 | check | crc32 of both   blocks …   index   footer
 *     block: size/4 - 1 | flags | sizes | filters | padding | crc32   data   padding to 4   check
 */
const STREAM_HEADER = 12;
const LZMA2 = 0x21;
const X86 = 0x04;
/** Bytes of each kind of check (section 2.1.1.2): none, CRC32, CRC64, SHA-256. */
const CHECK_SIZES = new Map([
  [0, 0],
  [1, 4],
  [4, 8],
  [10, 32],
]);
const MAX_BLOCKS = 4096;

export type XzResult =
  | { readonly ok: true; readonly bytes: Uint8Array }
  | { readonly ok: false; readonly reason: string };

/** Unpacks the first stream, to at most `limit` bytes. CRC64 is not compared. Never throws. */
export function unpackXz(input: Uint8Array, limit: number): XzResult {
  const check = input[7];
  const checkSize = CHECK_SIZES.get(check);
  if (input.length < STREAM_HEADER || !hasCrc(input, 6, 2)) return fail("its head is damaged");
  if (checkSize === undefined) return fail(`it has checks of kind ${check}`);
  const blocks: Uint8Array[] = [];
  let left = limit;
  let at = STREAM_HEADER;
  while (input[at] !== 0) {
    const filters = filtersAt(input, at);
    if (typeof filters === "string") return fail(filters);
    const decoded = decodeLzma2(input, filters.end, left);
    if (decoded === undefined) return fail("its data are damaged, or too large");
    const { output, end } = decoded;
    if (filters.x86) undoX86BranchFilter(output);
    const checkAt = (end + 3) & ~3;
    if (!isChecked(check, output, input.subarray(checkAt, checkAt + checkSize))) {
      return fail("its data do not match their checksum");
    }
    blocks.push(output);
    if (blocks.length > MAX_BLOCKS) return fail("it has too many blocks");
    left -= output.length;
    at = checkAt + checkSize;
  }
  return { ok: true, bytes: blocks.length === 1 ? blocks[0]! : Buffer.concat(blocks) };
}

function filtersAt(
  input: Uint8Array,
  start: number,
): { readonly x86: boolean; readonly end: number } | string {
  const size = (input[start] + 1) * 4;
  const end = start + size;
  if (!(end <= input.length) || !hasCrc(input, start, size - 4)) return "a block's head is damaged";
  const flags = input[start + 1];
  let at = start + 2;
  for (const isThere of [flags & 0x40, flags & 0x80]) if (isThere) at = skipNumber(input, at);
  const filters: string[] = [];
  for (let left = (flags & 3) + 1; left > 0; left--) {
    const id = input[at];
    const properties = input[at + 1];
    // The x86 filter may begin to count elsewhere than at 0; no packer of kernels makes it.
    if (id === X86 && properties !== 0) return "its filters are unusual";
    filters.push(String(id));
    at += 2 + properties;
  }
  const chain = filters.join();
  if (chain === `${X86},${LZMA2}` || chain === `${LZMA2}`) {
    return { x86: filters.length === 2, end };
  }
  return `it is packed with the filters ${chain}`;
}

/** A number in bytes of 7 bits, whose highest bit says that more follow. */
function skipNumber(input: Uint8Array, start: number): number {
  let at = start;
  while (at < start + 9 && input[at] >= 0x80) at++;
  return at + 1;
}

function hasCrc(input: Uint8Array, at: number, length: number): boolean {
  const end = at + length;
  return end + 4 <= input.length && crc32(input.subarray(at, end)) === u32(input, end);
}

function isChecked(check: number, output: Uint8Array, stored: Uint8Array): boolean {
  if (check === 1) return stored.length === 4 && crc32(output) === u32(stored, 0);
  if (check !== 10) return true;
  return createHash("sha256").update(output).digest().equals(stored);
}

function fail(reason: string): XzResult {
  return { ok: false, reason };
}
