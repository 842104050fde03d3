import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { text, u16, u32 } from "./little-endian.ts";
import { lz4Legacy } from "./lz4.ts";
import { unpackXz } from "./xz.ts";

/**
 * The x86 boot image `vmlinuz` (Documentation/arch/x86/boot.rst):
 *
 *     0x1f1 setup_sects u8 | 0x1fe 0xaa55 | 0x202 "HdrS" | 0x206 protocol u16 |
 *     0x20e kernel_version u16 (+ 0x200) | 0x248 payload_offset u32 | 0x24c payload_length u32
 *     … (setup_sects + 1) × 512: protected-mode code, with the compressed ELF kernel in it
 *
 * Every payload but a gzip one is followed by its uncompressed size (u32), which counts as payload.
 */
export type Compression = "gzip" | "bzip2" | "lzma" | "xz" | "lzo" | "lz4" | "zstd";

export type BzImage = {
  readonly compression: Compression;
  /** The compressed stream, a view into the input. */
  readonly payload: Uint8Array;
  /** Bytes that it decompresses to, as the image says. */
  readonly size: number;
  /** `6.1.0-50-amd64 (debian-kernel@…) #1 SMP …`, empty where the image has none. */
  readonly version: string;
};

const MAGICS: readonly (readonly [Compression, string])[] = [
  ["gzip", "1f8b"],
  ["bzip2", "425a68"],
  ["lzma", "5d0000"],
  ["xz", "fd377a585a00"],
  ["lzo", "894c5a4f000d"],
  ["lz4", "02214c18"],
  ["zstd", "28b52ffd"],
];
/** Where payload_offset came into the header. */
const MIN_PROTOCOL = 0x208;
const MAX_KERNEL = 256 * 1024 * 1024;

export type Failure = { readonly ok: false; readonly reason: string };

/** Finds the compressed kernel in a boot image. */
export function parseBzImage(bytes: Uint8Array): { ok: true; image: BzImage } | Failure {
  if (bytes.length < 0x250 || u16(bytes, 0x1fe) !== 0xaa55) return fail("no boot sector");
  if (text(bytes, 0x202, 4) !== "HdrS") return fail("no Linux boot header");
  const protocol = u16(bytes, 0x206);
  if (protocol < MIN_PROTOCOL) return fail(`boot protocol ${protocol >> 8}.${protocol & 0xff}`);
  // 0 stands for 4, from the days of boot floppies.
  const setup = ((bytes[0x1f1] || 4) + 1) * 512;
  const start = setup + u32(bytes, 0x248);
  const end = start + u32(bytes, 0x24c);
  if (end > bytes.length || end - start < 16) return fail("the payload lies outside the file");
  const head = Buffer.from(bytes.subarray(start, start + 8)).toString("hex");
  const compression = MAGICS.find(([, magic]) => head.startsWith(magic))?.[0];
  if (compression === undefined) return fail(`unknown compression, beginning ${head}`);
  const size = u32(bytes, end - 4);
  const payload = bytes.subarray(start, compression === "gzip" ? end : end - 4);
  const versionAt = u16(bytes, 0x20e) + 0x200;
  const version = versionAt > 0x200 && versionAt < setup ? text(bytes, versionAt, 256) : "";
  return { ok: true, image: { compression, payload, size, version } };
}

/** Decompresses gzip, zstd, lz4 and xz, which is all that distributions use. */
export function decompressKernel(image: BzImage): { ok: true; vmlinux: Uint8Array } | Failure {
  const { compression, payload, size } = image;
  if (size > MAX_KERNEL) return fail(`a kernel of ${size} bytes is too large`);
  try {
    const vmlinux = decompress(compression, payload, size);
    if (vmlinux === undefined) return fail(`it is packed with ${compression}`);
    if (vmlinux.length === size) return { ok: true, vmlinux };
    return fail(`the kernel is ${vmlinux.length} bytes long, its image says ${size}`);
  } catch (error) {
    return fail(`the ${compression} payload is damaged: ${(error as Error).message}`);
  }
}

function decompress(
  compression: Compression,
  payload: Uint8Array,
  size: number,
): Uint8Array | undefined {
  const options = { maxOutputLength: Math.max(size, 1) };
  if (compression === "gzip") return gunzipSync(payload, options);
  if (compression === "zstd") return zstdDecompressSync(payload, options);
  if (compression === "xz") {
    const unpacked = unpackXz(payload, size);
    if (!unpacked.ok) throw new Error(unpacked.reason);
    return unpacked.bytes;
  }
  if (compression !== "lz4") return undefined;
  const vmlinux = lz4Legacy(payload, new Uint8Array(size));
  if (vmlinux === undefined) throw new Error("a block ends early");
  return vmlinux;
}

function fail(reason: string): Failure {
  return { ok: false, reason };
}
