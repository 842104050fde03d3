import { u32, u64 } from "./little-endian.ts";

/** Size of a LiME or AVML block header. */
export const LIME_HEADER_SIZE = 32;

const LIME_MAGIC = 0x4c694d45;
const AVML_MAGIC = 0x4c4d5641;

export type LimeHeader = {
  /** `lime`: the bytes themselves follow. `avml`: snappy frames and their total length follow. */
  readonly format: "lime" | "avml";
  readonly start: number;
  /** First address after the block; the file holds the last one in it. */
  readonly end: number;
};

/** Whether a file begins as LiME (version 1) or AVML (version 2) files do. */
export function limeFormat(bytes: Uint8Array, at = 0): LimeHeader["format"] | undefined {
  if (at + 8 > bytes.length) return undefined;
  const magic = u32(bytes, at);
  const version = u32(bytes, at + 4);
  if (magic === LIME_MAGIC && version === 1) return "lime";
  return magic === AVML_MAGIC && version === 2 ? "avml" : undefined;
}

/**
 * The block header at `at`, or undefined where there is none (LiME docs/README.md, “Memory Range
 * Header Version 1”; AVML src/image.rs).
 */
export function parseLimeHeader(bytes: Uint8Array, at = 0): LimeHeader | undefined {
  if (at + LIME_HEADER_SIZE > bytes.length) return undefined;
  const format = limeFormat(bytes, at);
  const start = u64(bytes, at + 8);
  const end = u64(bytes, at + 16) + 1;
  if (format === undefined || !(end > start) || end > 2 ** 52) return undefined;
  return { format, start, end };
}
