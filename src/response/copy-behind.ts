import { readSync } from "node:fs";
import { writeSparse } from "../memory/sparse-write.ts";
import type { Extent } from "../native/mmap.ts";
import type { WriteProtection } from "../native/write-protection.ts";

/** What is copied and let go at one stroke: the longest that a writing guest waits. */
const CHUNK = 64 * 2 ** 10;

/** Open files: the RAM, the copy, and where in the copy the RAM begins. */
export type BehindFiles = {
  readonly source: number;
  readonly target: number;
  readonly ramAt: number;
};

/** What was copied while the guest ran, and how often it had to wait for it. */
export type BehindResult = { readonly bytesWritten: number; readonly waits: number };

/**
 * Copies protected RAM while its guest runs: piece after piece, and first whatever the guest waits
 * to write to, so that each piece is copied as it was when it was protected. `extents` are the parts
 * that held data at that moment. Nothing is awaited on the way: the guest's writes wait for us.
 */
export function copyBehind(
  protection: WriteProtection,
  { source, target, ramAt }: BehindFiles,
  extents: readonly Extent[],
): BehindResult {
  const { size } = protection.handle;
  const pending = new Uint8Array(Math.ceil(size / CHUNK));
  for (const { start, end } of extents) {
    pending.fill(1, Math.floor(start / CHUNK), Math.ceil(end / CHUNK));
  }
  const buffer = Buffer.alloc(CHUNK);
  let bytesWritten = 0;
  let waits = 0;
  const settle = (index: number): void => {
    const at = index * CHUNK;
    if (pending[index] === 1) {
      const got = readSync(source, buffer, 0, Math.min(CHUNK, size - at), at);
      bytesWritten += writeSparse(target, buffer.subarray(0, got), ramAt + at);
      pending[index] = 0;
    }
    protection.release(at, CHUNK);
  };
  const serve = (): void => {
    for (const offset of protection.waiting()) {
      waits++;
      settle(Math.floor(offset / CHUNK));
    }
  };
  for (let index = 0; index < pending.length; index++) {
    serve();
    if (pending[index] === 1) settle(index);
  }
  protection.release(0, size);
  return { bytesWritten, waits };
}
