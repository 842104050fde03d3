import { zstdDecompressSync } from "node:zlib";
import { frameAt, parseSeekTable, SEEK_FOOTER, seekTableSize } from "../formats/zstd-seekable.ts";
import type { SeekTable } from "../formats/zstd-seekable.ts";
import type { Extent } from "../native/mmap.ts";
import { readBytes } from "./byte-source.ts";
import type { ByteSource } from "./byte-source.ts";

/** Unpacked frames that are kept: 32 MiB of those that kvmsec writes. */
const KEPT_FRAMES = 128;
/** A frame of zeros is shorter than this, however large it unfolds. */
const MAX_ZERO_FORM = 64;

/** What a seekable Zstandard file stands for, unpacked frame by frame where it is read. */
export class ZstdFile implements ByteSource {
  readonly size: number;
  readonly #source: ByteSource;
  readonly #table: SeekTable;
  readonly #kept = new Map<number, Uint8Array>();

  private constructor(source: ByteSource, table: SeekTable) {
    this.#source = source;
    this.#table = table;
    this.size = table.content[table.content.length - 1];
  }

  /** Undefined where the file has no seek table, or one that does not fit it. */
  static open(source: ByteSource): ZstdFile | undefined {
    const table = readSeekTable(source);
    return table === undefined ? undefined : new ZstdFile(source, table);
  }

  read(position: number, target: Uint8Array): number {
    let done = 0;
    while (done < target.length) {
      const index = frameAt(this.#table, position + done);
      const frame = index < 0 ? undefined : this.#frame(index);
      if (frame === undefined) break;
      const within = position + done - this.#table.content[index];
      const part = frame.subarray(within, within + target.length - done);
      target.set(part, done);
      done += part.length;
    }
    return done;
  }

  /** Frames of zeros are told by their packed form, each unfolded once. */
  extents(): Extent[] {
    const { packed, content } = this.#table;
    const zeroForms = new Map<string, boolean>();
    const extents: { start: number; end: number }[] = [];
    for (let index = 0; index < content.length - 1; index++) {
      if (packed[index + 1] - packed[index] <= MAX_ZERO_FORM && this.#isZero(index, zeroForms)) {
        continue;
      }
      const last = extents.at(-1);
      const start = content[index];
      const end = content[index + 1];
      if (last?.end === start) last.end = end;
      else if (start < end) extents.push({ start, end });
    }
    return extents;
  }

  [Symbol.dispose](): void {
    this.#kept.clear();
    this.#source[Symbol.dispose]();
  }

  #isZero(index: number, known: Map<string, boolean>): boolean {
    const bytes = packedFrame(this.#source, this.#table, index);
    if (bytes === undefined) return false;
    const key = Buffer.from(bytes).toString("latin1");
    const told = known.get(key);
    if (told !== undefined) return told;
    const zero = unpackFrame(this.#table, index, bytes)?.every((byte) => byte === 0) ?? false;
    known.set(key, zero);
    return zero;
  }

  /** The one that was used longest ago makes room. */
  #frame(index: number): Uint8Array | undefined {
    const held = this.#kept.get(index);
    const frame = held ?? this.#unpack(index);
    if (frame === undefined) return undefined;
    if (held !== undefined) this.#kept.delete(index);
    else if (this.#kept.size >= KEPT_FRAMES) {
      for (const oldest of this.#kept.keys()) {
        this.#kept.delete(oldest);
        break;
      }
    }
    this.#kept.set(index, frame);
    return frame;
  }

  #unpack(index: number): Uint8Array | undefined {
    const bytes = packedFrame(this.#source, this.#table, index);
    return bytes === undefined ? undefined : unpackFrame(this.#table, index, bytes);
  }
}

/** The seek table at the end of a file, or undefined. */
export function readSeekTable(source: ByteSource): SeekTable | undefined {
  const footer = readBytes(source, source.size - SEEK_FOOTER, SEEK_FOOTER);
  const size = footer === undefined ? undefined : seekTableSize(footer, source.size);
  const table = size === undefined ? undefined : readBytes(source, source.size - size, size);
  return table === undefined ? undefined : parseSeekTable(table, source.size);
}

/** A frame as it lies in the file. */
export function packedFrame(
  source: ByteSource,
  { packed }: SeekTable,
  index: number,
): Uint8Array | undefined {
  return readBytes(source, packed[index], packed[index + 1] - packed[index]);
}

/** What a frame holds; undefined where it is damaged or holds another amount. Never throws. */
export function unpackFrame(
  { content }: SeekTable,
  index: number,
  bytes: Uint8Array,
): Uint8Array | undefined {
  const size = content[index + 1] - content[index];
  try {
    // One byte more, or the decoder needs a second round to see that it is done.
    const options = { maxOutputLength: Math.max(1, size), chunkSize: Math.max(64, size + 1) };
    const frame = zstdDecompressSync(bytes, options);
    return frame.length === size ? frame : undefined;
  } catch {
    return undefined;
  }
}
