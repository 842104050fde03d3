import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { setImmediate as turn } from "node:timers/promises";
import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";
import { encodeSeekTable } from "../formats/zstd-seekable.ts";
import { DumpFile } from "../memory/dump-file.ts";
import { packedFrame, readSeekTable, unpackFrame } from "../memory/zstd-file.ts";
import { dataExtents } from "../native/mmap.ts";
import type { Extent } from "../native/mmap.ts";
import { hashFile } from "./manifest.ts";
import type { Hashed } from "./manifest.ts";

/** What is packed for itself: so much is unpacked to read one byte. */
const FRAME = 256 * 2 ** 10;
/** Frames that are in the making at once. */
const AT_ONCE = 2;
/** After so many frames others in this process get a turn. */
const FRAMES_A_TURN = 16;
const LEVEL = 3;

/** A file and its packed form. */
export type Packed = { readonly content: Hashed; readonly stored: Hashed };

const compress = promisify(zstdCompress);

function pack(bytes: Uint8Array): Promise<Buffer> {
  const params = {
    [constants.ZSTD_c_compressionLevel]: LEVEL,
    // A frame that was damaged is a fault wherever it is read, never other bytes.
    [constants.ZSTD_c_checksumFlag]: 1,
  };
  return compress(bytes, { params });
}

/**
 * Packs a file as seekable Zstandard into a new one, which is on the disk when this returns. Needs
 * a few frames of memory; holes are not read, and take some bytes each 256 KiB.
 */
export async function packFile(path: string, target: string): Promise<Packed> {
  await using file = await open(path, "r");
  const { size } = await file.stat();
  using writer = new FrameWriter(target);
  const content = createHash("sha256");
  const zeros = Buffer.alloc(FRAME);
  const zeroFrame = pack(zeros);
  const queue: { size: number; frame: Promise<Buffer> }[] = [];
  for await (const bytes of pieces(file, size, zeros)) {
    content.update(bytes);
    queue.push({ size: bytes.length, frame: bytes === zeros ? zeroFrame : pack(bytes) });
    const first = queue.length > AT_ONCE ? queue.shift() : undefined;
    if (first !== undefined) writer.add(await first.frame, first.size);
  }
  for (const { size: length, frame } of queue) writer.add(await frame, length);
  return { content: { size, sha256: content.digest("hex") }, stored: writer.finish() };
}

/** The file's bytes, a frame's worth at a time; `zeros` itself for what lies in a hole. */
async function* pieces(file: FileHandle, size: number, zeros: Buffer): AsyncGenerator<Buffer> {
  const extents = dataExtents(file.fd, size);
  let next = 0;
  for (let at = 0; at < size; at += FRAME) {
    const end = Math.min(at + FRAME, size);
    while (next < extents.length && extents[next].end <= at) next++;
    const extent: Extent | undefined = extents[next];
    const hole = extent === undefined || extent.start >= end;
    yield hole && end - at === FRAME ? zeros : await readWhole(file, at, end - at);
  }
}

async function readWhole(file: FileHandle, at: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  for (let done = 0; done < length;) {
    const { bytesRead } = await file.read(buffer, done, length - done, at + done);
    if (bytesRead === 0) throw new Error("the file became shorter while it was read");
    done += bytesRead;
  }
  return buffer;
}

class FrameWriter implements Disposable {
  readonly #fd: number;
  readonly #hash = createHash("sha256");
  readonly #frames: { packed: number; content: number }[] = [];
  #size = 0;

  constructor(path: string) {
    this.#fd = openSync(path, "wx", 0o600);
  }

  add(frame: Uint8Array, content: number): void {
    this.#frames.push({ packed: frame.length, content });
    this.#write(frame);
  }

  finish(): Hashed {
    this.#write(encodeSeekTable(this.#frames));
    fsyncSync(this.#fd);
    return { size: this.#size, sha256: this.#hash.digest("hex") };
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #write(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      done += writeSync(this.#fd, bytes, done, bytes.length - done, this.#size + done);
    }
    this.#hash.update(bytes);
    this.#size += bytes.length;
  }
}

/** Told each stretch of a packed file's content, in order. */
export type TakeContent = (bytes: Uint8Array, at: number) => void;

/**
 * Unpacks a file frame by frame, and hashes both its forms. `content` is undefined where it is
 * damaged or no seekable Zstandard; what was given to `take` until then means nothing.
 */
export async function unpackFile(
  path: string,
  take: TakeContent = () => {},
): Promise<{ readonly stored: Hashed; readonly content: Hashed | undefined }> {
  const stored = await hashFile(path);
  // An empty file is none that anybody could have packed.
  if (stored.size === 0) return { stored, content: undefined };
  using file = new DumpFile(path);
  const table = readSeekTable(file);
  if (table === undefined) return { stored, content: undefined };
  const hash = createHash("sha256");
  const frames = table.content.length - 1;
  for (let index = 0; index < frames; index++) {
    if (index % FRAMES_A_TURN === 0) await turn();
    const bytes = packedFrame(file, table, index);
    const frame = bytes === undefined ? undefined : unpackFrame(table, index, bytes);
    if (frame === undefined) return { stored, content: undefined };
    hash.update(frame);
    take(frame, table.content[index]);
  }
  return { stored, content: { size: table.content[frames], sha256: hash.digest("hex") } };
}
