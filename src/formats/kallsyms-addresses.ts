import { alignments } from "./kallsyms-locate.ts";
import type { ImageReader, NameParts } from "./kallsyms-locate.ts";

/**
 * How addresses are stored. `off` is the symbol's 32-bit entry.
 *
 * - `percpu`: off ≥ 0 is absolute (a per-CPU offset), else base − 1 − off
 *   (CONFIG_KALLSYMS_ABSOLUTE_PERCPU, until 6.14)
 * - `relative`: base + off
 * - `pc-relative`: the entry's own address + off, signed (7.0 on)
 * - `absolute`: 64-bit addresses (no CONFIG_KALLSYMS_BASE_RELATIVE, an option until 6.10)
 */
export type Addressing = "percpu" | "relative" | "pc-relative" | "absolute";

export type AddressParts = {
  readonly addressing: Addressing;
  /** Of the array, in the image. */
  readonly offsets: number;
  /** relative_base, a signed address; 0 without one. */
  readonly base: number;
};

/** Where entries can lie: 32-bit ones with a base, the same without, or whole addresses. */
type Place = {
  readonly kind: "based" | "pc-relative" | "absolute";
  readonly offsets: number;
  readonly base: number;
};

/** The kernel image is mapped in the top 2 GiB (arch/x86/include/asm/page_64_types.h). */
const IMAGE_FLOOR = -(2 ** 31);
/** Share of the addresses that must be in order; all are, but for what a guest has changed. */
const MIN_ORDER = 0.99;
/** Far more than any per-CPU section. */
const MAX_PERCPU = 2 ** 28;

/**
 * All ways of storing addresses that the content bears out, oldest layout first. More than one
 * is rare: only entries with a base can also pass as PC-relative.
 */
export function* decodeAddresses(
  image: ImageReader,
  imageBase: number,
  parts: NameParts,
): Generator<AddressParts & { readonly addresses: Float64Array }> {
  const { count } = parts;
  for (const { kind, offsets, base } of places(image, parts)) {
    const bytes = count * (kind === "absolute" ? 8 : 4);
    if (!(offsets >= 0 && offsets + bytes <= image.bytes.length)) continue;
    // A copy: the guest may be writing while we read.
    const entries = new Int32Array(
      new Uint8Array(image.bytes.subarray(offsets, offsets + bytes)).buffer,
    );
    const addressing = kind === "based" ? storage(entries) : kind;
    const addresses = toAddresses(entries, addressing, base, imageBase + offsets);
    if (areKernelAddresses(addresses)) yield { addressing, offsets, base, addresses };
  }
}

function* places(image: ImageReader, parts: NameParts): Generator<Place> {
  const bytes = parts.count * 4;
  const based: [offsets: number, baseAt: number][] = [
    [parts.countAt - 8 - Math.ceil(bytes / 8) * 8, parts.countAt - 8],
  ];
  const behind = alignments(parts.tokenIndex + 512);
  for (const offsets of behind) {
    for (const baseAt of alignments(offsets + bytes)) based.push([offsets, baseAt]);
  }
  for (const [offsets, baseAt] of based) {
    const base = image.s64(baseAt);
    if (isImageAddress(base)) yield { kind: "based", offsets, base };
  }
  for (const offsets of [parts.countAt - parts.count * 8, ...behind]) {
    yield { kind: "absolute", offsets, base: 0 };
  }
  for (const offsets of behind) yield { kind: "pc-relative", offsets, base: 0 };
}

function isImageAddress(address: number): boolean {
  return address >= IMAGE_FLOOR && address < 0;
}

/** With per-CPU symbols as absolutes nearly all entries are negative, otherwise none is. */
function storage(entries: Int32Array): Addressing {
  let negative = 0;
  for (const entry of entries) if (entry < 0) negative++;
  return negative * 2 > entries.length ? "percpu" : "relative";
}

function toAddresses(
  entries: Int32Array,
  addressing: Addressing,
  base: number,
  entriesAt: number,
): Float64Array {
  const count = addressing === "absolute" ? entries.length / 2 : entries.length;
  const addresses = new Float64Array(count);
  switch (addressing) {
    case "percpu":
      for (let i = 0; i < count; i++) {
        const entry = entries[i];
        addresses[i] = entry >= 0 ? entry : base - 1 - entry;
      }
      break;
    case "relative":
      for (let i = 0; i < count; i++) addresses[i] = base + (entries[i] >>> 0);
      break;
    case "pc-relative":
      for (let i = 0; i < count; i++) addresses[i] = entriesAt + i * 4 + entries[i];
      break;
    case "absolute":
      for (let i = 0; i < count; i++) {
        addresses[i] = entries[i * 2 + 1] * 2 ** 32 + (entries[i * 2] >>> 0);
      }
  }
  return addresses;
}

/** Ascending, in the image's 2 GiB or (absolute ones, first) small. */
function areKernelAddresses(addresses: Float64Array): boolean {
  let ordered = 1;
  let inImage = 0;
  for (let i = 0; i < addresses.length; i++) {
    const address = addresses[i];
    if (isImageAddress(address)) inImage++;
    else if (!(address >= 0 && address < MAX_PERCPU)) return false;
    if (i > 0 && (address >= addresses[i - 1] || address < 0 !== addresses[i - 1] < 0)) ordered++;
  }
  return inImage * 2 > addresses.length && ordered >= addresses.length * MIN_ORDER;
}
