import type { GuestPhysical } from "../../base/address.ts";
import { visitReadable } from "../../memory/partial-bytes.ts";
import type { PhysicalMemory, PhysicalRange } from "../../memory/physical-memory.ts";

/** Small enough to stay in the processor's cache, large enough that a read of a dump pays. */
const CHUNK = 0x20_0000;
/** What a scan of a mapping leaves resident at most. */
const RESIDENT = 0x100_0000;

/**
 * Hands all RAM that may hold something to `visit`, in page-aligned chunks of at most 2 MiB, in
 * ascending order; a chunk is only to be looked at during the visit. Unreadable pages are skipped and their size returned, so that a search which
 * finds nothing can say whether it saw everything.
 */
export function scanRanges(
  memory: PhysicalMemory,
  visit: (chunk: Uint8Array, start: GuestPhysical) => void,
): number {
  const room = memory.readInto === undefined ? undefined : new Uint8Array(CHUNK);
  let unread = 0;
  for (const part of scanParts(memory, RESIDENT)) {
    const end = part.start + part.size;
    for (let start = part.start; start < end; start += CHUNK) {
      unread += visitReadable(memory, start, Math.min(CHUNK, end - start), visit, room);
    }
  }
  return unread;
}

/** All RAM that may hold something, in parts of at most `size` bytes; one is forgotten before the next. */
export function* scanParts(memory: PhysicalMemory, size: number): Generator<PhysicalRange> {
  for (const range of memory.populated?.() ?? memory.ranges) {
    for (let done = 0; done < range.size; done += size) {
      const part = { start: range.start + done, size: Math.min(size, range.size - done) };
      yield part;
      memory.forget?.(part);
    }
  }
}
