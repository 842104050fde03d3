import { inflateRawSync, zstdDecompressSync } from "node:zlib";
import { zstdFrameLength } from "../zstd-frame.ts";
import { BlockCache, CachedDisk } from "./block-cache.ts";
import { diskBytes } from "./disk-bytes.ts";
import type { DiskBytes } from "./disk-bytes.ts";
import type { Qcow2Header } from "./qcow2-header.ts";

/** What a stretch of the disk is made of. */
type Place =
  | { readonly kind: "data"; readonly offset: number }
  | { readonly kind: "packed"; readonly offset: number; readonly length: number }
  | { readonly kind: "zero" | "below" };

const COMPRESSED = 0x4000_0000;
const ZERO = 1;
const SECTOR = 512;
const SUBCLUSTERS = 32;
const TABLE_BLOCK = 4096;
/** What is kept of tables, in blocks, and of unpacked clusters, in bytes. */
const KEPT_TABLES = 1024;
const KEPT_UNPACKED = 4 * 2 ** 20;

/**
 * The disk inside a QCOW2 image: an L1 table of L2 tables of clusters (docs/interop/qcow2.txt of
 * QEMU). It is read beside a QEMU that writes to it: QEMU keeps changed tables to itself until the
 * guest flushes, so what was written last may be missing.
 */
export class Qcow2 implements DiskBytes {
  readonly size: number;
  readonly #file: DiskBytes;
  readonly #tables: CachedDisk;
  readonly #header: Qcow2Header;
  readonly #below: DiskBytes | undefined;
  readonly #data: DiskBytes;
  readonly #clusterSize: number;
  readonly #unpacked: BlockCache;

  /** `below` is what the backing file holds, `data` the external data file where there is one. */
  constructor(
    file: DiskBytes,
    header: Qcow2Header,
    { below, data }: { readonly below?: DiskBytes; readonly data?: DiskBytes } = {},
  ) {
    this.#file = file;
    this.#tables = new CachedDisk(file, TABLE_BLOCK, KEPT_TABLES);
    this.#header = header;
    this.#below = below;
    this.#data = data ?? file;
    this.#clusterSize = 2 ** header.clusterBits;
    this.#unpacked = new BlockCache(Math.max(1, KEPT_UNPACKED / this.#clusterSize));
    this.size = header.size;
  }

  read(position: number, target: Uint8Array): boolean {
    if (!(position >= 0 && position + target.length <= this.size)) return false;
    const unit = this.#header.extendedL2 ? this.#clusterSize / SUBCLUSTERS : this.#clusterSize;
    for (let done = 0; done < target.length;) {
      const at = position + done;
      const length = Math.min(target.length - done, unit - (at % unit));
      if (!this.#readWithin(at, target.subarray(done, done + length))) return false;
      done += length;
    }
    return true;
  }

  /** A stretch that lies within one cluster, or one part of a divided one. */
  #readWithin(position: number, target: Uint8Array): boolean {
    const place = this.#placeOf(position);
    switch (place?.kind) {
      case undefined:
        return false;
      case "zero":
        target.fill(0);
        return true;
      case "below":
        return this.#readBelow(position, target);
      case "data":
        return this.#data.read(place.offset + (position % this.#clusterSize), target);
      case "packed": {
        const cluster = this.#unpacked.get(place.offset, () => this.#unpack(place));
        if (cluster === undefined) return false;
        const from = position % this.#clusterSize;
        target.set(cluster.subarray(from, from + target.length));
        return true;
      }
    }
  }

  /** Behind the end of what lies below there are zeros. */
  #readBelow(position: number, target: Uint8Array): boolean {
    const below = this.#below;
    const there = Math.min(target.length, Math.max(0, (below?.size ?? 0) - position));
    target.fill(0, there);
    return there === 0 || below!.read(position, target.subarray(0, there));
  }

  #placeOf(position: number): Place | undefined {
    const { clusterBits, l1Entries, l1Offset, extendedL2, dataFile } = this.#header;
    const entrySize = extendedL2 ? 16 : 8;
    const perTable = this.#clusterSize / entrySize;
    const cluster = Math.floor(position / this.#clusterSize);
    const l1Index = Math.floor(cluster / perTable);
    if (l1Index >= l1Entries) return undefined;
    const l1 = this.#entry(l1Offset + l1Index * 8, 8);
    if (l1 === undefined) return undefined;
    const table = offsetOf(l1);
    if (table === 0) return { kind: "below" };
    const entry = this.#entry(table + (cluster % perTable) * entrySize, entrySize);
    if (entry === undefined) return undefined;
    if ((entry.getUint32(0) & COMPRESSED) !== 0) return packedPlace(entry, clusterBits);
    const offset = offsetOf(entry);
    // In a data file the first cluster may lie at 0; then the entry says so by its "copied" bit.
    const isAllocated = offset !== 0 || (dataFile !== undefined && entry.getUint32(0) >>> 31 === 1);
    const data: Place = isAllocated ? { kind: "data", offset } : { kind: "below" };
    if (extendedL2) return this.#partPlace(entry, position, data);
    return (entry.getUint32(4) & ZERO) === 0 ? data : { kind: "zero" };
  }

  /** Two bits a part: one says that it lies in the cluster, the other that it is zero. */
  #partPlace(entry: DataView, position: number, data: Place): Place {
    const part = Math.floor((position % this.#clusterSize) / (this.#clusterSize / SUBCLUSTERS));
    if (((entry.getUint32(8) >>> part) & 1) === 1) return { kind: "zero" };
    return ((entry.getUint32(12) >>> part) & 1) === 1 ? data : { kind: "below" };
  }

  #entry(at: number, size: number): DataView | undefined {
    const bytes = diskBytes(this.#tables, at, size);
    return bytes && new DataView(bytes.buffer);
  }

  #unpack({ offset, length }: { offset: number; length: number }): Uint8Array | undefined {
    // The last sector counts as a whole, though the file may end in it.
    const packed = diskBytes(this.#file, offset, Math.min(length, this.#file.size - offset));
    const size = this.#clusterSize;
    if (packed === undefined) return undefined;
    try {
      const unpack = this.#header.compression === "zstd" ? unpackZstd : unpackDeflate;
      const cluster = unpack(packed, size);
      return cluster.length >= size ? cluster.subarray(0, size) : undefined;
    } catch {
      return undefined;
    }
  }
}

/** Bits 9 to 55 of a table's entry. */
function offsetOf(entry: DataView): number {
  return (entry.getUint32(0) & 0xff_ffff) * 2 ** 32 + ((entry.getUint32(4) & ~0x1ff) >>> 0);
}

/** Byte offset in the low bits, then how many further sectors the data touch. */
function packedPlace(entry: DataView, clusterBits: number): Place {
  const bits = entry.getBigUint64(0);
  const split = BigInt(62 - (clusterBits - 8));
  const offset = Number(bits & ((1n << split) - 1n));
  const sectors = Number((bits & ((1n << 62n) - 1n)) >> split) + 1;
  return { kind: "packed", offset, length: sectors * SECTOR - (offset % SECTOR) };
}

/** It ends by itself: what follows in its last sector is another cluster's. */
function unpackDeflate(packed: Uint8Array, size: number): Uint8Array {
  return inflateRawSync(packed, { maxOutputLength: size, finishFlush: 2 });
}

function unpackZstd(packed: Uint8Array, size: number): Uint8Array {
  const length = zstdFrameLength(packed) ?? 0;
  return zstdDecompressSync(packed.subarray(0, length), { maxOutputLength: size });
}
