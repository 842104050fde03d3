import { PAGE_SIZE } from "../base/address.ts";
import type { ByteSource } from "./byte-source.ts";
import type { PageReader } from "./page-reader.ts";
import type { PhysicalRange } from "./physical-memory.ts";
import { addPages, clipRanges } from "./ranges.ts";
import type { SegmentMap } from "./segment-map.ts";

/** Position of memory that is in no file and counts as zero; any negative one does. */
export const ZERO_FILLED = -(2 ** 52);

/** Formats that hold memory as it is, in stretches: ELF cores, LiME, raw images. */
export class SegmentReader implements PageReader {
  readonly ranges: readonly PhysicalRange[];
  readonly #source: ByteSource;
  readonly #map: SegmentMap;

  /** `map` leads from guest-physical addresses to positions in `source`, inside it or negative. */
  constructor(source: ByteSource, map: SegmentMap) {
    this.#source = source;
    this.#map = map;
    this.ranges = map.pageRanges(PAGE_SIZE);
  }

  read(physical: number, target: Uint8Array): number {
    const map = this.#map;
    let done = 0;
    for (let index = map.indexAt(physical); done < target.length && index < map.count; index++) {
      const at = physical + done;
      if (map.starts[index] > at) break;
      const length = Math.min(target.length - done, map.ends[index] - at);
      const whole = done === 0 && length === target.length;
      const part = whole ? target : target.subarray(done, done + length);
      const got = this.#fill(map.offsets[index] + at - map.starts[index], part);
      done += got;
      if (got < length) break;
    }
    return done;
  }

  #fill(position: number, part: Uint8Array): number {
    if (position >= 0) return this.#source.read(position, part);
    part.fill(0);
    return part.length;
  }

  /** Where a sparse file has holes, the pages under them are zero. */
  populated(): PhysicalRange[] {
    const extents = this.#source.extents?.();
    if (extents === undefined) return [...this.ranges];
    const map = this.#map;
    const found: PhysicalRange[] = [];
    for (let index = 0; index < map.count; index++) {
      const shift = map.starts[index] - map.offsets[index];
      const from = map.offsets[index];
      const to = from + map.ends[index] - map.starts[index];
      for (let at = firstEndingAfter(extents, from); at < extents.length; at++) {
        const extent = extents[at];
        if (extent.start >= to) break;
        addPages(found, Math.max(extent.start, from) + shift, Math.min(extent.end, to) + shift);
      }
    }
    return clipRanges(this.ranges, found);
  }

  [Symbol.dispose](): void {
    this.#source[Symbol.dispose]();
  }
}

function firstEndingAfter(extents: readonly { end: number }[], position: number): number {
  let low = 0;
  let high = extents.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (extents[middle].end > position) high = middle;
    else low = middle + 1;
  }
  return low;
}
