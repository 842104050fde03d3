import type { GuestVirtual } from "../base/address.ts";

/** A stretch of addresses, the end not included. */
export type AddressRange = { readonly start: GuestVirtual; readonly end: GuestVirtual };

/** Ranges that do not overlap on a sane guest, found by address in logarithmic time. */
export class AddressRanges<T extends AddressRange> {
  readonly all: readonly T[];
  readonly #starts: Float64Array;

  /** Ranges that are empty or could not be read are left out. */
  constructor(ranges: Iterable<T>) {
    this.all = [...ranges]
      .filter(({ start, end }) => end > start)
      .toSorted((a, b) => a.start - b.start || a.end - b.end);
    this.#starts = Float64Array.from(this.all, ({ start }) => start);
  }

  /** The range that holds `address`; of several that overlap, the one that starts last. */
  at(address: GuestVirtual): T | undefined {
    let low = 0;
    let high = this.#starts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#starts[middle] <= address) low = middle + 1;
      else high = middle;
    }
    const range = this.all[low - 1];
    return range !== undefined && address < range.end ? range : undefined;
  }
}
