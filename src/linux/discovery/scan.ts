import type { GuestPhysical } from "../../base/address.ts";
import { visitReadable } from "../../memory/partial-bytes.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";

/** Small enough to stay in the processor's cache, large enough that a read of a dump pays. */
const CHUNK = 0x20_0000;

/**
 * Hands all RAM that may hold something to `visit`, in page-aligned chunks of at most 2 MiB, in
 * ascending order. Unreadable pages are skipped and their size returned, so that a search which
 * finds nothing can say whether it saw everything.
 */
export function scanRanges(
  memory: PhysicalMemory,
  visit: (chunk: Uint8Array, start: GuestPhysical) => void,
): number {
  let unread = 0;
  for (const range of memory.populated?.() ?? memory.ranges) {
    const end = range.start + range.size;
    for (let start = range.start; start < end; start += CHUNK) {
      unread += visitReadable(memory, start, Math.min(CHUNK, end - start), visit);
    }
  }
  memory.forget?.();
  return unread;
}
