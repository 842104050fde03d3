import { closeSync, fstatSync, ftruncateSync, openSync, readSync, write } from "node:fs";
import { promisify } from "node:util";
import { dataExtents } from "../native/mmap.ts";
import type { PhysicalMemory } from "../memory/physical-memory.ts";
import { dataRuns, writeSparse } from "../memory/sparse-write.ts";

const CHUNK = 4 * 2 ** 20;

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

/** `writeSparse` on another thread, for bytes that nobody touches meanwhile. */
export async function writeAt(to: number, data: Buffer, at: number): Promise<void> {
  for (const { start, end } of dataRuns(data)) {
    for (let done = start; done < end;) {
      done += (await writeLater(to, data, done, end - done, at + done)).bytesWritten;
    }
  }
}

const writeLater = promisify(write);
