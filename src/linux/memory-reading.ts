import { PAGE_SIZE } from "../base/address.ts";

/** Bytes that were asked for, with the places that could not be read. */
export type MemoryReading = {
  /** As many as were asked for; what could not be read is 0 here and listed in `missing`. */
  readonly bytes: Uint8Array;
  /** Offsets into `bytes`, ascending and disjoint, whole to the next page boundary. */
  readonly missing: readonly { readonly offset: number; readonly length: number }[];
};

/** Copies from an address on until a page is missing; returns how many bytes there were. */
export type Copy = (address: number, target: Uint8Array) => number;

/** Reads page by page, so that one missing page does not hide those behind it. */
export function readAround(copy: Copy, address: number, length: number): MemoryReading {
  const bytes = new Uint8Array(length);
  const missing: { offset: number; length: number }[] = [];
  let offset = 0;
  while (offset < length) {
    offset += copy(address + offset, bytes.subarray(offset));
    if (offset >= length) break;
    const at = address + offset;
    const inPage = at - Math.floor(at / PAGE_SIZE) * PAGE_SIZE;
    const gap = Math.min(PAGE_SIZE - inPage, length - offset);
    const last = missing.at(-1);
    if (last !== undefined && last.offset + last.length === offset) last.length += gap;
    else missing.push({ offset, length: gap });
    offset += gap;
  }
  return { bytes, missing };
}
