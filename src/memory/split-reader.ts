import type { KdumpPart } from "./kdump-dump.ts";
import { PAGE_SIZE } from "../base/address.ts";
import type { PageReader } from "./page-reader.ts";
import type { PhysicalRange } from "./physical-memory.ts";

/** The parts of a dump that makedumpfile --split wrote, as one. */
export class SplitReader implements PageReader {
  readonly ranges: readonly PhysicalRange[];
  readonly #parts: readonly KdumpPart[];

  /** `parts` sorted by their first frame, not overlapping. */
  constructor(parts: readonly KdumpPart[]) {
    this.#parts = parts;
    this.ranges = joined(parts.flatMap(({ reader }) => reader.ranges));
  }

  read(physical: number, target: Uint8Array): number {
    let done = 0;
    for (const { reader, to } of this.#parts) {
      const end = to * PAGE_SIZE;
      if (end <= physical + done) continue;
      const length = Math.min(target.length - done, end - physical - done);
      const got = reader.read(physical + done, target.subarray(done, done + length));
      done += got;
      if (got < length || done === target.length) break;
    }
    return done;
  }

  populated(): PhysicalRange[] {
    return joined(this.#parts.flatMap(({ reader }) => reader.populated()));
  }

  [Symbol.dispose](): void {
    for (const { reader } of this.#parts) reader[Symbol.dispose]();
  }
}

/** Joins ranges where one begins at the end of the one before. */
function joined(ranges: readonly PhysicalRange[]): PhysicalRange[] {
  const out: PhysicalRange[] = [];
  for (const range of ranges) {
    const last = out.at(-1);
    if (last !== undefined && last.start + last.size === range.start) {
      out[out.length - 1] = { start: last.start, size: last.size + range.size };
    } else out.push(range);
  }
  return out;
}
