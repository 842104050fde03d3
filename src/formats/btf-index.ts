/**
 * The raw side of BTF: header, and where each type's record begins.
 *
 *     header (hdr_len ≥ 24) | … type section … | … string section … | … layout section …
 *     type: name_off u32 | info u32 (kind_flag 1, kind 7, vlen 24) | size or type u32 | per-kind data
 *
 * include/uapi/linux/btf.h. Before 7.1 kind had 5 bits and vlen 16, and the bits between were
 * zero, so the wider masks read both. The layout section (also 7.1) gives the record size of
 * kinds newer than this code.
 */

/** Per kind: bytes after the 12-byte `btf_type`, and bytes for each of its `vlen` elements. */
const FIXED_SIZE = [0, 4, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 4, 0, 0];
const ELEMENT_SIZE = [0, 0, 0, 0, 12, 12, 8, 0, 0, 0, 0, 0, 0, 8, 0, 12, 0, 0, 0, 12];
const KNOWN_KINDS = FIXED_SIZE.length;
const MAX_KINDS = 128;
const HEADER_SIZE = 24;
const HEADER_SIZE_WITH_LAYOUT = 32;
const MAX_SIZE = 64 * 1024 * 1024;
/** The kernel's own limits (BTF_MAX_TYPE, BTF_MAX_NAME_OFFSET). */
const MAX_TYPES = 0xfffff;
const MAX_STRINGS = 0xffffff;

/** BTF whose every record lies inside its type section. Section starts are byte offsets. */
export type BtfIndex = {
  /** A private, 4-byte aligned copy from the header on. */
  readonly u32: Uint32Array;
  readonly buffer: Buffer;
  /** Word offset of each record in `u32`; entry 0 belongs to the first own type id. */
  readonly words: Uint32Array;
  readonly stringStart: number;
  readonly stringLength: number;
};

export type BtfHeader = {
  readonly typeStart: number;
  readonly typeLength: number;
  readonly stringStart: number;
  readonly stringLength: number;
  readonly layoutStart: number;
  readonly layoutLength: number;
  /** Bytes from the header's first to the last section's end. */
  readonly size: number;
};

/**
 * Reads only the header: enough to tell how many bytes the whole takes. `bytes` need not hold
 * more than the first 32. Returns why not, as a string.
 */
export function readBtfHeader(bytes: Uint8Array): BtfHeader | string {
  if (bytes.length < HEADER_SIZE) return "shorter than a BTF header";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const magic = view.getUint16(0, true);
  if (magic === 0x9feb) return "big-endian BTF is not read";
  if (magic !== 0xeb9f) return "no BTF magic";
  if (bytes[2] !== 1) return `unknown BTF version ${bytes[2]}`;
  const headerLength = view.getUint32(4, true);
  if (headerLength < HEADER_SIZE || headerLength > 4096) return "impossible BTF header length";
  const word = (at: number): number => view.getUint32(at, true);
  const hasLayout =
    headerLength >= HEADER_SIZE_WITH_LAYOUT && bytes.length >= HEADER_SIZE_WITH_LAYOUT;
  const header = {
    typeStart: headerLength + word(8),
    typeLength: word(12),
    stringStart: headerLength + word(16),
    stringLength: word(20),
    layoutStart: hasLayout ? headerLength + word(24) : 0,
    layoutLength: hasLayout ? word(28) : 0,
  };
  const size = Math.max(
    header.typeStart + header.typeLength,
    header.stringStart + header.stringLength,
    header.layoutStart + header.layoutLength,
  );
  if (size > MAX_SIZE) return "BTF larger than 64 MiB";
  if (header.stringLength > MAX_STRINGS) return "more BTF strings than the kernel allows";
  if (header.typeStart % 4 !== 0 || header.typeLength % 4 !== 0) return "misaligned BTF types";
  return { ...header, size };
}

/** One pass over all records. `hasBase`: the string section may be empty. */
export function indexBtf(bytes: Uint8Array, hasBase: boolean): BtfIndex | string {
  const header = readBtfHeader(bytes);
  if (typeof header === "string") return header;
  if (header.size > bytes.length) return "BTF sections end behind the given bytes";
  const copy = new Uint8Array((header.size + 3) & ~3);
  copy.set(bytes.subarray(0, header.size));
  const buffer = Buffer.from(copy.buffer);
  const { stringStart, stringLength } = header;
  if (stringLength === 0 ? !hasBase : copy[stringStart + stringLength - 1] !== 0) {
    return "BTF strings do not end in NUL";
  }
  if (!hasBase && copy[stringStart] !== 0) return "the first BTF string is not empty";
  const u32 = new Uint32Array(copy.buffer);
  const words = indexTypes(u32, header, kindSizes(copy, header));
  return typeof words === "string" ? words : { u32, buffer, words, stringStart, stringLength };
}

type KindSizes = { readonly fixed: Int32Array; readonly element: Int32Array };

/** In words; −1 where a kind's size is unknown. */
function kindSizes(bytes: Uint8Array, header: BtfHeader): KindSizes {
  const fixed = new Int32Array(MAX_KINDS).fill(-1);
  const element = new Int32Array(MAX_KINDS);
  const described = Math.min(MAX_KINDS, header.layoutLength >> 2);
  for (let kind = KNOWN_KINDS; kind < described; kind++) {
    const at = header.layoutStart + kind * 4;
    if (bytes[at] % 4 !== 0 || bytes[at + 1] % 4 !== 0) continue;
    fixed[kind] = bytes[at] >> 2;
    element[kind] = bytes[at + 1] >> 2;
  }
  for (let kind = 1; kind < KNOWN_KINDS; kind++) {
    fixed[kind] = FIXED_SIZE[kind] >> 2;
    element[kind] = ELEMENT_SIZE[kind] >> 2;
  }
  return { fixed, element };
}

function indexTypes(u32: Uint32Array, header: BtfHeader, sizes: KindSizes): Uint32Array | string {
  const { fixed, element } = sizes;
  const end = (header.typeStart + header.typeLength) >> 2;
  const words = new Uint32Array(Math.min(MAX_TYPES, Math.ceil(header.typeLength / 12)));
  let count = 0;
  let at = header.typeStart >> 2;
  while (at + 3 <= end) {
    if (count >= MAX_TYPES) return "more BTF types than the kernel allows";
    const info = u32[at + 1];
    const kind = (info >>> 24) & 0x7f;
    const extra = fixed[kind];
    if (extra < 0) return `type record ${count + 1} has unknown kind ${kind}`;
    words[count++] = at;
    at += 3 + extra + (info & 0xffffff) * element[kind];
  }
  if (at !== end) return `type record ${count} runs over the end of its section`;
  return words.slice(0, count);
}
