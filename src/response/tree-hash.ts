import { createHash, webcrypto } from "node:crypto";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { dataRuns } from "../memory/sparse-write.ts";
import { dataExtents } from "../native/mmap.ts";
import { writeAt } from "./sparse-copy.ts";

/** What is hashed for itself. */
const PIECE = 2 ** 20;
/** As many as Node has threads for files and hashes. */
const AT_ONCE = 4;

/**
 * SHA-256 over a file, made of the hashes of its pieces and their places; holes and zeros are the
 * same. On the way the file is copied into the open file `to`, which must be of that size and hold
 * nothing. The pieces are read, hashed and written side by side, off this thread.
 */
export async function copyHashed(path: string, to?: number): Promise<string> {
  await using from = await open(path, "r");
  const { size } = await from.stat();
  const places = piecesWithData(from.fd, size);
  const hashes = new Map<number, string>();
  let next = 0;
  const work = async (): Promise<void> => {
    const buffer = Buffer.alloc(PIECE);
    for (let place = places[next++]; place !== undefined; place = places[next++]) {
      const piece = await read(from, buffer, place);
      if (dataRuns(piece).next().done === true) continue;
      const [hash] = await Promise.all([
        webcrypto.subtle.digest("SHA-256", piece),
        ...(to === undefined ? [] : [writeAt(to, piece, place)]),
      ]);
      hashes.set(place, Buffer.from(hash).toString("hex"));
    }
  };
  const workers = await Promise.allSettled(Array.from({ length: AT_ONCE }, work));
  for (const worker of workers) if (worker.status === "rejected") throw worker.reason;
  const root = createHash("sha256").update(`size ${size}\n`);
  for (const place of places) {
    const hash = hashes.get(place);
    if (hash !== undefined) root.update(`at ${place} ${hash}\n`);
  }
  return root.digest("hex");
}

function piecesWithData(fd: number, size: number): number[] {
  const places: number[] = [];
  for (const { start, end } of dataExtents(fd, size)) {
    const first = Math.max(start - (start % PIECE), (places.at(-1) ?? -PIECE) + PIECE);
    for (let at = first; at < end; at += PIECE) places.push(at);
  }
  return places;
}

async function read(from: FileHandle, buffer: Buffer<ArrayBuffer>, place: number) {
  let done = 0;
  while (done < PIECE) {
    const { bytesRead } = await from.read(buffer, done, PIECE - done, place + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer.subarray(0, done);
}
