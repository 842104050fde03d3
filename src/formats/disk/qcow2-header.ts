import type { DiskBytes } from "./disk-bytes.ts";
import { diskBytes } from "./disk-bytes.ts";

/** The head of a QCOW2 image (docs/interop/qcow2.txt of QEMU); numbers in it are big-endian. */
export type Qcow2Header = {
  readonly clusterBits: number;
  /** Of the disk that the guest sees, in bytes. */
  readonly size: number;
  readonly l1Entries: number;
  readonly l1Offset: number;
  readonly compression: "deflate" | "zstd";
  /** Each cluster is divided into 32 parts with states of their own. */
  readonly extendedL2: boolean;
  /** The guest's bytes lie in another file; this one says only where. */
  readonly dataFile: { readonly name: string | undefined } | undefined;
  /** What lies below, as the image names it. */
  readonly backing: { readonly name: string; readonly format: string | undefined } | undefined;
};

const MAGIC = 0x514649fb;
/** Incompatible features: dirty and corrupt say nothing about how to read. */
const DATA_FILE = 1n << 2n;
const EXTENDED_L2 = 1n << 4n;
const KNOWN_FEATURES = 0x1fn;
const COMPRESSIONS = ["deflate", "zstd"] as const;
/** QEMU's own limit (QCOW_MAX_L1_SIZE, block/qcow2.h). */
const MAX_L1_ENTRIES = (32 * 2 ** 20) / 8;
/** As the format has it. */
const MAX_NAME = 1023;
const MAX_EXTENSIONS = 64;
const BACKING_FORMAT = 0xe2792aca;
const DATA_FILE_NAME = 0x44415441;

/** Whether an image file begins like a QCOW2 image. */
export function isQcow2(file: DiskBytes): boolean {
  const head = diskBytes(file, 0, 4);
  return head !== undefined && Buffer.from(head.buffer).readUInt32BE() === MAGIC;
}

/** Reads the head of an image file; a reason where it cannot be read, or not understood. */
export function parseQcow2Header(file: DiskBytes): Qcow2Header | string {
  const bytes = diskBytes(file, 0, 4096) ?? diskBytes(file, 0, 512);
  if (bytes === undefined) return "it is too short for a QCOW2 image";
  const head = Buffer.from(bytes.buffer);
  const version = head.readUInt32BE(4);
  if (version !== 2 && version !== 3) return `it is of QCOW2 version ${version}`;
  if (head.readUInt32BE(32) !== 0) return "it is encrypted";
  const features = version === 3 ? head.readBigUInt64BE(72) : 0n;
  if ((features & ~KNOWN_FEATURES) !== 0n)
    return `it has QCOW2 features 0x${features.toString(16)}`;
  const length = version === 3 ? head.readUInt32BE(100) : 72;
  const clusterBits = head.readUInt32BE(20);
  const extendedL2 = (features & EXTENDED_L2) !== 0n;
  if (clusterBits < (extendedL2 ? 14 : 9) || clusterBits > 21)
    return "its cluster size is impossible";
  const compression = COMPRESSIONS[length > 104 ? head[104]! : 0];
  if (compression === undefined) return "its compression is unknown";
  const l1Entries = head.readUInt32BE(36);
  if (l1Entries > MAX_L1_ENTRIES) return "its first table is too large";
  const size = Number(head.readBigUInt64BE(24));
  if (!Number.isSafeInteger(size)) return "its size is impossible";
  const extensions = readExtensions(head, length);
  return {
    clusterBits,
    size,
    l1Entries,
    l1Offset: Number(head.readBigUInt64BE(40)),
    compression,
    extendedL2,
    dataFile: (features & DATA_FILE) === 0n ? undefined : { name: extensions.get(DATA_FILE_NAME) },
    backing: backingOf(file, head, extensions.get(BACKING_FORMAT)),
  };
}

function backingOf(
  file: DiskBytes,
  head: Buffer,
  format: string | undefined,
): Qcow2Header["backing"] {
  const length = head.readUInt32BE(16);
  if (length === 0 || length > MAX_NAME) return undefined;
  const name = diskBytes(file, Number(head.readBigUInt64BE(8)), length);
  return name && { name: Buffer.from(name.buffer).toString("utf8"), format };
}

/** Type and length, the data, padding to 8; type 0 ends them. */
function readExtensions(head: Buffer, start: number): Map<number, string> {
  const found = new Map<number, string>();
  for (let at = start, left = MAX_EXTENSIONS; left > 0 && at + 8 <= head.length; left--) {
    const type = head.readUInt32BE(at);
    const length = head.readUInt32BE(at + 4);
    if (type === 0 || at + 8 + length > head.length) break;
    found.set(type, head.toString("utf8", at + 8, at + 8 + length));
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return found;
}
