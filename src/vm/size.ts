import { usageError } from "../base/errors.ts";

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  K: 1024,
  M: 1024 ** 2,
  G: 1024 ** 3,
  T: 1024 ** 4,
};

/** `512M`, `1.5G`, `2GiB` or a plain number of bytes, as bytes. Throws KVMSEC_SIZE_INVALID. */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?$/i.exec(text.trim());
  const bytes = match === null ? Number.NaN : Number(match[1]) * UNITS[match[2]!.toUpperCase()]!;
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw usageError(
    "KVMSEC_SIZE_INVALID",
    `${JSON.stringify(text)} is no size.`,
    "Write a size as 512M, 1.5G or a number of bytes.",
  );
}
