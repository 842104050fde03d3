import { PAGE_SIZE } from "../base/address.ts";
import type { GuestPhysical } from "../base/address.ts";
import type { PhysicalMemory } from "./physical-memory.ts";

/**
 * Hands what is readable of a stretch to `visit`, in order: all of it at once, or where a dump
 * lacks pages of it, the largest pieces of whole pages. Returns the number of bytes that are not
 * there. `start` is page-aligned. With `room`, of at least `length` bytes, nothing is allocated where
 * memory has to be copied, and what `visit` is given is overwritten afterwards.
 */
export function visitReadable(
  memory: PhysicalMemory,
  start: GuestPhysical,
  length: number,
  visit: (bytes: Uint8Array, start: GuestPhysical) => void,
  room?: Uint8Array,
): number {
  const bytes = readBytes(memory, start, length, room);
  if (bytes !== undefined) {
    visit(bytes, start);
    return 0;
  }
  if (length <= PAGE_SIZE) return length;
  const half = Math.ceil(length / 2 / PAGE_SIZE) * PAGE_SIZE;
  return (
    visitReadable(memory, start, half, visit, room) +
    visitReadable(memory, start + half, length - half, visit, room)
  );
}

function readBytes(
  memory: PhysicalMemory,
  start: GuestPhysical,
  length: number,
  room: Uint8Array | undefined,
): Uint8Array | undefined {
  if (room === undefined || memory.readInto === undefined) return memory.bytes(start, length);
  const target = room.subarray(0, length);
  return memory.readInto(start, target) === length ? target : undefined;
}

/**
 * A stretch of which some pages may be missing, as a filtered dump's kernel image lacks the pages
 * that were freed after boot. Missing pages are zero and counted, in bytes.
 */
export function partialBytes(
  memory: PhysicalMemory,
  start: GuestPhysical,
  length: number,
): { readonly bytes: Uint8Array; readonly missing: number } {
  const whole = memory.bytes(start, length);
  if (whole !== undefined) return { bytes: whole, missing: 0 };
  const bytes = new Uint8Array(length);
  const missing = visitReadable(memory, start, length, (part, at) => bytes.set(part, at - start));
  return { bytes, missing };
}
