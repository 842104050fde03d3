import { closeSync, fstatSync, ftruncateSync, openSync, readSync, write, writeSync } from "node:fs";
import { promisify } from "node:util";
import { dataExtents } from "../native/mmap.ts";
import type { Extent } from "../native/mmap.ts";
import type { PhysicalMemory } from "../memory/physical-memory.ts";

const CHUNK = 4 * 2 ** 20;
/** Zeros are looked for in pieces of this size; a file system's block or a few of them. */
const GRAIN = 64 * 2 ** 10;
const zeros = Buffer.alloc(GRAIN);

/**
 * Copies the bytes of `from` between `first` and `size` into `to`, each `at` further on; what is a
 * hole or zero stays a hole. Returns the bytes written.
 */
export function copySparse(from: number, to: number, at: number, size: number, first = 0): number {
  const buffer = Buffer.alloc(CHUNK);
  let written = 0;
  for (const { start, end } of dataExtents(from, size)) {
    for (let offset = Math.max(start, first); offset < end;) {
      const got = readSync(from, buffer, 0, Math.min(CHUNK, end - offset), offset);
      // The file was cut short while it was read: the rest stays a hole.
      if (got === 0) break;
      written += writeSparse(to, buffer.subarray(0, got), at + offset);
      offset += got;
    }
  }
  return written;
}

/** Copies a whole file. */
export function copyFileSparse(source: string, target: string): number {
  const from = openSync(source, "r");
  try {
    const to = openSync(target, "wx", 0o600);
    try {
      const { size } = fstatSync(from);
      ftruncateSync(to, size);
      return copySparse(from, to, 0, size);
    } finally {
      closeSync(to);
    }
  } finally {
    closeSync(from);
  }
}

/** Copies guest-physical memory page range by page range: for RAM that is no file. */
export function copyMemory(
  memory: PhysicalMemory,
  blocks: readonly { readonly start: number; readonly size: number; readonly offset: number }[],
  to: number,
  at: number,
): number {
  let written = 0;
  memory.refresh();
  for (const { start, size, offset } of blocks) {
    for (let done = 0; done < size; done += CHUNK) {
      const bytes = memory.bytes(start + done, Math.min(CHUNK, size - done));
      if (bytes !== undefined) written += writeSparse(to, bytes, at + offset + done);
    }
  }
  return written;
}

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

/** The same on another thread, for bytes that nobody touches meanwhile. */
export async function writeAt(to: number, data: Buffer, at: number): Promise<void> {
  for (const { start, end } of dataRuns(data)) {
    for (let done = start; done < end;) {
      done += (await writeLater(to, data, done, end - done, at + done)).bytesWritten;
    }
  }
}

const writeLater = promisify(write);

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
