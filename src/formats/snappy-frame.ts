import { maskedCrc32c } from "./crc32c.ts";
import { u32 } from "./little-endian.ts";
import { snappyDecompress, snappyPreamble } from "./snappy.ts";

/** Chunk types of the snappy framing format (google/snappy, framing_format.txt, section 4). */
const COMPRESSED = 0x00;
const UNCOMPRESSED = 0x01;
/** Types below this one must be understood by a reader; those from here on may be skipped. */
const SKIPPABLE = 0x80;

/** A chunk never holds more uncompressed bytes than this. */
export const MAX_CHUNK = 65_536;
/** Bytes of a chunk that tell all about it but its content: header, checksum, length. */
export const CHUNK_HEAD_SIZE = 13;

export type SnappyChunk = {
  readonly compressed: boolean;
  /** Whole chunk with its header, in the file. */
  readonly fileSize: number;
  /** Bytes that it stands for; 0 for one that only marks or pads. */
  readonly size: number;
};

/** The chunk that begins at `head[0]`, or undefined where none can begin. */
export function parseSnappyChunk(head: Uint8Array): SnappyChunk | undefined {
  if (head.length < 4) return undefined;
  const type = head[0];
  const length = u32(head, 0) >>> 8;
  const fileSize = 4 + length;
  if (type >= SKIPPABLE) return { compressed: false, fileSize, size: 0 };
  if (length < 4 || head.length < 9) return undefined;
  if (type === UNCOMPRESSED) {
    return length - 4 <= MAX_CHUNK ? { compressed: false, fileSize, size: length - 4 } : undefined;
  }
  if (type !== COMPRESSED) return undefined;
  const preamble = snappyPreamble(head, 8, Math.min(head.length, fileSize));
  if (preamble === undefined || preamble.length > MAX_CHUNK) return undefined;
  return { compressed: true, fileSize, size: preamble.length };
}

/**
 * Decodes one whole data chunk into `target`, which is exactly as large as what it stands for.
 * False where the content is damaged or its checksum differs.
 */
export function decodeSnappyChunk(chunk: Uint8Array, target: Uint8Array): boolean {
  if (chunk.length < 8) return false;
  if (chunk[0] === COMPRESSED) {
    if (snappyDecompress(chunk, 8, chunk.length, target) !== target.length) return false;
  } else {
    if (chunk.length - 8 !== target.length) return false;
    target.set(chunk.subarray(8));
  }
  return maskedCrc32c(target) === u32(chunk, 4);
}
