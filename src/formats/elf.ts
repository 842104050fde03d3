/**
 * The tables of a little-endian ELF64 file: program headers, sections, notes (System V ABI,
 * "Object Files"; include/uapi/linux/elf.h). Nothing is copied: data are views into the input.
 */

export const ElfType = { REL: 1, EXEC: 2, DYN: 3, CORE: 4 } as const;
export const SegmentType = { LOAD: 1, NOTE: 4 } as const;
export const SectionType = { NOTE: 7, NOBITS: 8 } as const;

export type ElfSegment = {
  readonly type: number;
  /** R = 4, W = 2, X = 1. */
  readonly flags: number;
  readonly offset: number;
  readonly virtualAddress: bigint;
  readonly physicalAddress: number;
  readonly fileSize: number;
  readonly memorySize: number;
};

export type ElfSection = {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  readonly address: bigint;
  readonly offset: number;
  readonly size: number;
  readonly link: number;
  /** sh_info: of relocations, the section that they change. */
  readonly info: number;
  readonly alignment: number;
  readonly entrySize: number;
};

export type Elf = {
  readonly type: number;
  /** 62 is x86-64, 183 arm64. */
  readonly machine: number;
  readonly entry: bigint;
  readonly segments: readonly ElfSegment[];
  readonly sections: readonly ElfSection[];
};

export type ElfNote = {
  /** Without its closing NUL. */
  readonly name: string;
  readonly type: number;
  readonly data: Uint8Array;
};

const HEADER_SIZE = 64;
const SEGMENT_SIZE = 56;
const SECTION_SIZE = 64;
/** e_phnum that says: the count is in the first section header's sh_info. */
const PN_XNUM = 0xffff;
const MAX_SEGMENTS = 1 << 18;
const MAX_SECTIONS = 1 << 16;
const MAX_NOTES = 1 << 14;
const MAX_SECTION_NAME = 256;

/**
 * `bytes` may be only the beginning of the file, as long as the tables lie in it: offsets of
 * data are not checked against its length (`elfData` does). A section table that lies behind it
 * is left out, as a core dump needs none.
 */
export function parseElf(
  bytes: Uint8Array,
): { ok: true; elf: Elf } | { ok: false; reason: string } {
  if (bytes.length < HEADER_SIZE) return fail("shorter than an ELF header");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint32(0) !== 0x7f454c46) return fail("no ELF magic");
  if (bytes[4] !== 2) return fail("not a 64-bit ELF file");
  if (bytes[5] !== 1) return fail("not a little-endian ELF file");
  const sections = readSections(bytes, view);
  if (typeof sections === "string") return fail(sections);
  const segments = readSegments(view);
  if (typeof segments === "string") return fail(segments);
  const type = view.getUint16(16, true);
  const machine = view.getUint16(18, true);
  const entry = view.getBigUint64(24, true);
  return { ok: true, elf: { type, machine, entry, segments, sections } };
}

function fail(reason: string): { ok: false; reason: string } {
  return { ok: false, reason };
}

function readSegments(view: DataView): ElfSegment[] | string {
  const offset = size64(view, 32);
  let count = view.getUint16(56, true);
  if (count === 0) return [];
  if (view.getUint16(54, true) !== SEGMENT_SIZE) return "unknown size of program headers";
  if (count === PN_XNUM) {
    const first = size64(view, 40);
    if (!(first >= HEADER_SIZE && first + SECTION_SIZE <= view.byteLength)) {
      return "the count of program headers lies outside";
    }
    count = view.getUint32(first + 44, true);
  }
  if (count > MAX_SEGMENTS) return `${count} program headers are too many`;
  if (!(offset + count * SEGMENT_SIZE <= view.byteLength)) return "program headers lie outside";
  const segments: ElfSegment[] = [];
  for (let i = 0, at = offset; i < count; i++, at += SEGMENT_SIZE) {
    const segment = {
      type: view.getUint32(at, true),
      flags: view.getUint32(at + 4, true),
      offset: size64(view, at + 8),
      virtualAddress: view.getBigUint64(at + 16, true),
      physicalAddress: size64(view, at + 24),
      fileSize: size64(view, at + 32),
      memorySize: size64(view, at + 40),
    };
    if (!Number.isSafeInteger(segment.offset + segment.fileSize)) {
      return `program header ${i} has an impossible file range`;
    }
    segments.push(segment);
  }
  return segments;
}

function readSections(bytes: Uint8Array, view: DataView): ElfSection[] | string {
  const offset = size64(view, 40);
  if (offset === 0 || !(offset + SECTION_SIZE <= bytes.length)) return [];
  if (view.getUint16(58, true) !== SECTION_SIZE) return "unknown size of section headers";
  // More than 65,279 sections: the count is in the first header's sh_size, the index in sh_link.
  const count = view.getUint16(60, true) || size64(view, offset + 32);
  const index = view.getUint16(62, true);
  const names = index === 0xffff ? view.getUint32(offset + 40, true) : index;
  if (!(count <= MAX_SECTIONS)) return `${count} sections are too many`;
  if (!(offset + count * SECTION_SIZE <= bytes.length)) return [];
  const stringsAt = names < count ? size64(view, offset + names * SECTION_SIZE + 24) : Number.NaN;
  const sections: ElfSection[] = [];
  for (let i = 0, at = offset; i < count; i++, at += SECTION_SIZE) {
    sections.push({
      name: textAt(bytes, stringsAt + view.getUint32(at, true)),
      type: view.getUint32(at + 4, true),
      flags: size64(view, at + 8),
      address: view.getBigUint64(at + 16, true),
      offset: size64(view, at + 24),
      size: size64(view, at + 32),
      link: view.getUint32(at + 40, true),
      info: view.getUint32(at + 44, true),
      alignment: size64(view, at + 48),
      entrySize: size64(view, at + 56),
    });
  }
  return sections;
}

/** A 64-bit size or offset; NaN where it is larger than any file. */
function size64(view: DataView, at: number): number {
  const value = view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true);
  return value <= Number.MAX_SAFE_INTEGER ? value : Number.NaN;
}

function textAt(bytes: Uint8Array, at: number): string {
  if (!(at >= 0 && at < bytes.length)) return "";
  const end = bytes.subarray(at, at + MAX_SECTION_NAME).indexOf(0);
  return end < 0 ? "" : Buffer.from(bytes.buffer, bytes.byteOffset + at, end).toString("latin1");
}

/** The bytes of a section or segment in the file; undefined where they lie outside or are none. */
export function elfData(
  bytes: Uint8Array,
  range: Pick<ElfSection, "type" | "offset" | "size"> | ElfSegment,
): Uint8Array | undefined {
  const size = "size" in range ? range.size : range.fileSize;
  if ("size" in range && range.type === SectionType.NOBITS) return undefined;
  if (!(range.offset + size <= bytes.length)) return undefined;
  return bytes.subarray(range.offset, range.offset + size);
}

/** The bytes of the first section with that name. */
export function elfSection(bytes: Uint8Array, elf: Elf, name: string): Uint8Array | undefined {
  const section = elf.sections.find((section) => section.name === name);
  return section && elfData(bytes, section);
}

/** All notes in a note segment's or section's bytes, up to the first damaged one. */
export function elfNotes(bytes: Uint8Array, limit = MAX_NOTES): ElfNote[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const notes: ElfNote[] = [];
  let at = 0;
  while (at + 12 <= bytes.length && notes.length < limit) {
    const nameSize = view.getUint32(at, true);
    const dataSize = view.getUint32(at + 4, true);
    const dataAt = at + 12 + Math.ceil(nameSize / 4) * 4;
    if (dataAt + dataSize > bytes.length) break;
    const name = Buffer.from(bytes.subarray(at + 12, at + 12 + Math.min(nameSize, 256)));
    notes.push({
      name: name.toString("latin1").replace(/\0.*$/s, ""),
      type: view.getUint32(at + 8, true),
      data: bytes.subarray(dataAt, dataAt + dataSize),
    });
    at = dataAt + Math.ceil(dataSize / 4) * 4;
  }
  return notes;
}

/** The notes of all note segments, or where there are none of all note sections. */
export function allElfNotes(bytes: Uint8Array, elf: Elf): ElfNote[] {
  const segments = elf.segments.filter((segment) => segment.type === SegmentType.NOTE);
  const sections = elf.sections.filter((section) => section.type === SectionType.NOTE);
  const notes: ElfNote[] = [];
  for (const range of segments.length > 0 ? segments : sections) {
    const data = elfData(bytes, range);
    if (data !== undefined) notes.push(...elfNotes(data, MAX_NOTES - notes.length));
  }
  return notes;
}

/** The GNU build id (NT_GNU_BUILD_ID = 3) among notes, in hex. */
export function gnuBuildId(notes: readonly ElfNote[]): string | undefined {
  const note = notes.find(({ name, type }) => name === "GNU" && type === 3);
  return note && Buffer.from(note.data).toString("hex");
}
