import { writeSync } from "node:fs";
import type { Extent } from "../native/mmap.ts";

/** Zeros are looked for in pieces of this size; a file system's block or a few of them. */
const GRAIN = 64 * 2 ** 10;
const zeros = Buffer.alloc(GRAIN);

/** Writes bytes but for their zeros; returns how many were written. */
export function writeSparse(to: number, bytes: Uint8Array, at: number): number {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let written = 0;
  for (const { start, end } of dataRuns(data)) {
    for (let done = start; done < end;) done += writeSync(to, data, done, end - done, at + done);
    written += end - start;
  }
  return written;
}

/** The stretches that are not zero. */
export function* dataRuns(data: Buffer): Generator<Extent, void> {
  for (let from = 0; from < data.length;) {
    if (isZero(data, from)) {
      from += GRAIN;
      continue;
    }
    let end = from;
    while (end < data.length && !isZero(data, end)) end += GRAIN;
    end = Math.min(end, data.length);
    yield { start: from, end };
    from = end;
  }
}

function isZero(data: Buffer, at: number): boolean {
  const end = Math.min(at + GRAIN, data.length);
  return data.compare(zeros, 0, end - at, at, end) === 0;
}
