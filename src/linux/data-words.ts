import { PAGE_SIZE } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { AddressRange } from "./address-ranges.ts";
import type { Kernel } from "./kernel.ts";

/** A word of data, and the kernel address that it holds. */
export type DataWord = { readonly slot: GuestVirtual; readonly value: GuestVirtual };

const WORD = 8;
/** The image and its modules lie in the topmost 2 GiB: the upper half of their addresses. */
const TOP = 0xffff_ffff;
const TWO_32 = 2 ** 32;

/**
 * Words in `data` that hold an address within `wanted`, which lies in the topmost 2 GiB. `unread`
 * is told of each page that is not in memory. One comparison a word: some 3 ns.
 */
export function* wordsLeadingTo(
  kernel: Kernel,
  data: AddressRange,
  wanted: AddressRange,
  unread: (page: GuestVirtual) => void,
): Generator<DataWord> {
  const { memory, space } = kernel;
  const found: DataWord[] = [];
  for (let from = data.start; from < data.end; from = pageAfter(from)) {
    const at = memory.offsetOf(space.physical(from));
    if (at < 0 || at % 4 !== 0) {
      unread(from);
      continue;
    }
    const { u32 } = memory;
    const words = (Math.min(pageAfter(from), data.end) - from) / 4;
    for (let word = 1; word < words; word += 2) {
      if (u32[at / 4 + word] !== TOP) continue;
      const value = u32[at / 4 + word - 1] - TWO_32;
      if (value < wanted.start || value >= wanted.end) continue;
      found.push({ slot: from + (word - 1) * 4, value });
    }
    // What comes of them may move the window.
    yield* found.splice(0);
  }
}

function pageAfter(address: GuestVirtual): GuestVirtual {
  return (Math.floor(address / PAGE_SIZE) + 1) * PAGE_SIZE;
}

/** The same stretch from its first aligned word on. */
export function alignedToWords({ start, end }: AddressRange): AddressRange {
  return { start: Math.ceil(start / WORD) * WORD, end };
}
