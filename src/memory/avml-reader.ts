import { PAGE_SIZE } from "../base/address.ts";
import { decodeSnappyChunk, MAX_CHUNK, parseSnappyChunk } from "../formats/snappy-frame.ts";
import type { ChunkList } from "./avml-chunks.ts";
import type { ByteSource } from "./byte-source.ts";
import type { PageReader } from "./page-reader.ts";
import type { PhysicalRange } from "./physical-memory.ts";
import { addPages, clipRanges } from "./ranges.ts";
import { SegmentMap } from "./segment-map.ts";
import { ZeroForm } from "./zero-form.ts";

/** Decoded chunks that are kept: 4 MiB. */
const KEPT = 64;
/** No chunk of 64 KiB takes more in the file: header, checksum, and the worst case of snappy. */
const LARGEST_CHUNK = 8 + 32 + MAX_CHUNK + Math.ceil(MAX_CHUNK / 6);

/** Every 64 bytes of zeros become a copy of 3 bytes, so 64 KiB of them about 3 KiB. */
const SMALL_CHUNK = 4096;

/** Decodes the snappy chunks of an AVML file, and checks each against its checksum. */
export class AvmlReader implements PageReader {
  readonly ranges: readonly PhysicalRange[];
  readonly #source: ByteSource;
  readonly #map: SegmentMap;
  /** By chunk number, the one used last at the end; an empty array stands for a damaged chunk. */
  readonly #decoded = new Map<number, Uint8Array>();
  readonly #zeroForm = new ZeroForm();
  readonly #raw = new Uint8Array(LARGEST_CHUNK);

  private constructor(source: ByteSource, map: SegmentMap) {
    this.#source = source;
    this.#map = map;
    this.ranges = map.pageRanges(PAGE_SIZE);
  }

  /** Undefined where blocks overlap, which no AVML writes. */
  static open(source: ByteSource, chunks: ChunkList): AvmlReader | undefined {
    const { pieces } = chunks;
    if (pieces.overlaps(pieces.order())) return undefined;
    return new AvmlReader(source, SegmentMap.of(pieces));
  }

  read(physical: number, target: Uint8Array): number {
    const map = this.#map;
    let done = 0;
    for (let index = map.indexAt(physical); done < target.length && index < map.count; index++) {
      const within = physical + done - map.starts[index];
      if (within < 0) break;
      const size = map.ends[index] - map.starts[index];
      const length = Math.min(target.length - done, size - within);
      const part = target.subarray(done, done + length);
      if (length === size) {
        if (!this.#decode(index, part)) break;
      } else if (!this.#copy(index, size, within, part)) break;
      done += length;
    }
    return done;
  }

  /** The ranges without chunks that are all zero: those are small, and all alike. */
  populated(): PhysicalRange[] {
    const found: PhysicalRange[] = [];
    for (let index = 0; index < this.#map.count; index++) {
      if (this.#isZero(index)) continue;
      addPages(found, this.#map.starts[index], this.#map.ends[index]);
    }
    return clipRanges(this.ranges, found);
  }

  [Symbol.dispose](): void {
    this.#decoded.clear();
    this.#source[Symbol.dispose]();
  }

  #copy(index: number, size: number, within: number, part: Uint8Array): boolean {
    let chunk = this.#decoded.get(index);
    if (chunk === undefined) {
      const fresh = new Uint8Array(size);
      chunk = this.#decode(index, fresh) ? fresh : new Uint8Array(0);
      const [oldest] = this.#decoded.keys();
      if (this.#decoded.size >= KEPT && oldest !== undefined) this.#decoded.delete(oldest);
    } else this.#decoded.delete(index);
    this.#decoded.set(index, chunk);
    if (chunk.length === 0) return false;
    part.set(chunk.subarray(within, within + part.length));
    return true;
  }

  #decode(index: number, target: Uint8Array): boolean {
    const chunk = this.#chunk(index);
    if (chunk === undefined) return false;
    if (this.#zeroForm.matches(chunk, target.length)) {
      target.fill(0);
      return true;
    }
    if (!decodeSnappyChunk(chunk, target)) return false;
    if (chunk.length <= SMALL_CHUNK) this.#zeroForm.learn(chunk, target.length, target);
    return true;
  }

  /** The chunk as it is in the file; valid until the next call. */
  #chunk(index: number): Uint8Array | undefined {
    const got = this.#source.read(this.#map.offsets[index], this.#raw);
    const chunk = parseSnappyChunk(this.#raw.subarray(0, got));
    if (chunk === undefined || chunk.fileSize > got) return undefined;
    return this.#raw.subarray(0, chunk.fileSize);
  }

  /** Whether the chunk is known to be zero. Decodes small ones until it has met such a one. */
  #isZero(index: number): boolean {
    const size = this.#map.ends[index] - this.#map.starts[index];
    const next = index + 1 < this.#map.count ? this.#map.offsets[index + 1] : Infinity;
    if (next - this.#map.offsets[index] > SMALL_CHUNK) return false;
    const chunk = this.#chunk(index);
    if (chunk === undefined) return false;
    if (this.#zeroForm.matches(chunk, size)) return true;
    const target = new Uint8Array(size);
    return decodeSnappyChunk(chunk, target) && this.#zeroForm.learn(chunk, size, target);
  }
}
