import { dumpNotes, NO_NOTES } from "../formats/cpu-notes.ts";
import type { DumpNotes } from "../formats/cpu-notes.ts";
import {
  ELF_HEADER_SIZE,
  ET_CORE,
  parseElfHeader,
  parseSegment,
  PT_LOAD,
  PT_NOTE,
} from "../formats/elf-core.ts";
import type { ElfHeader, Segment } from "../formats/elf-core.ts";
import { u32 } from "../formats/little-endian.ts";
import { readBytes } from "./byte-source.ts";
import type { ByteSource } from "./byte-source.ts";
import { damaged, foreign, truncated, unsupported } from "./dump-errors.ts";
import type { DumpFile } from "./dump-file.ts";
import { DumpMemory } from "./dump-memory.ts";
import { PieceList } from "./piece-list.ts";
import { SegmentMap } from "./segment-map.ts";
import { SegmentReader, ZERO_FILLED } from "./segment-reader.ts";

const MAX_SEGMENTS = 2 ** 20;
const MAX_NOTES = 2 ** 24;
const MAX_PHYSICAL = 2 ** 52;
const EM_386 = 3;
const EM_X86_64 = 62;

export type ElfOptions = { readonly salvage: boolean; readonly zeroExcluded: boolean };

/**
 * ELF cores of QEMU's dump-guest-memory (with paging the same physical pages appear in several
 * segments), of makedumpfile -E, and copies of kexec's /proc/vmcore. `source` is the file itself,
 * or what its flattened form stands for.
 */
export function openElf(file: DumpFile, source: ByteSource, options: ElfOptions): DumpMemory {
  const head = new Uint8Array(ELF_HEADER_SIZE);
  const header = parseElfHeader(head.subarray(0, source.read(0, head)));
  if (typeof header === "string") throw damaged(file, header);
  refuseOthers(file, header);
  const segments = readSegments(file, source, header, options.salvage);
  refuseProcess(file, segments);
  const loads = placeLoads(file, source, segments, options);
  const map = SegmentMap.of(loads.pieces);
  if (map.count === 0) throw damaged(file, "it holds no memory");
  return new DumpMemory(
    {
      path: file.path,
      kind: "elf-core",
      notes: readNotes(source, segments),
      incomplete: header.incomplete || loads.cut,
      excludedPages: loads.excludedPages,
    },
    new SegmentReader(source, map),
  );
}

function refuseOthers(file: DumpFile, header: ElfHeader): void {
  if (header.type !== ET_CORE) {
    throw foreign(
      file,
      "an ELF program or object",
      "A vmlinux holds no memory; make a dump with dump-guest-memory.",
    );
  }
  if (header.machine !== EM_X86_64 && header.machine !== EM_386) {
    throw unsupported(
      file,
      `it comes from a machine of ELF number ${header.machine}`,
      "Only x86 guests are understood.",
    );
  }
}

function readSegments(
  file: DumpFile,
  source: ByteSource,
  header: ElfHeader,
  salvage: boolean,
): Segment[] {
  const { at, size } = header.programHeaders;
  let { count } = header.programHeaders;
  if (header.countAt !== undefined) {
    const field = readBytes(source, header.countAt, 4);
    if (field === undefined) throw truncated(file, "its section header is missing");
    count = u32(field, 0);
  }
  if (count > MAX_SEGMENTS) throw damaged(file, `it claims ${count} program headers`);
  const available = Math.max(0, Math.floor((source.size - at) / size));
  if (available < count && !salvage) throw truncated(file, "its program headers are missing");
  const table = readBytes(source, at, Math.min(count, available) * size) ?? new Uint8Array(0);
  return Array.from({ length: Math.floor(table.length / size) }, (_, index) =>
    parseSegment(table, index * size, header.bits),
  );
}

/** A process's core dump has no physical addresses: all its segments claim to lie at 0. */
function refuseProcess(file: DumpFile, segments: readonly Segment[]): void {
  const loads = segments.filter(({ type }) => type === PT_LOAD);
  if (loads.length > 1 && loads.every(({ physical }) => physical === 0)) {
    throw foreign(file, "the core dump of a process");
  }
}

type Loads = {
  readonly pieces: PieceList;
  readonly cut: boolean;
  readonly excludedPages: number;
};

function placeLoads(
  file: DumpFile,
  source: ByteSource,
  segments: readonly Segment[],
  options: ElfOptions,
): Loads {
  const pieces = new PieceList();
  if (options.zeroExcluded) addZeros(pieces, segments);
  let cut = false;
  let excluded = 0;
  for (const { type, offset, physical, fileSize, memorySize } of segments) {
    const length = Math.min(fileSize, memorySize);
    if (type !== PT_LOAD || !(physical + memorySize <= MAX_PHYSICAL)) continue;
    if (!options.zeroExcluded) excluded += memorySize - length;
    if (length === 0) continue;
    const available = Math.min(length, source.size - offset);
    if (available < length && !options.salvage) {
      throw truncated(file, `memory at 0x${physical.toString(16)} lies beyond its end`);
    }
    cut ||= available < length;
    if (available > 0) pieces.add(physical, available, offset);
  }
  return { pieces, cut, excludedPages: Math.floor(excluded / 4096) };
}

/** What segments are larger by in memory than in the file. First, so that any real bytes win. */
function addZeros(pieces: PieceList, segments: readonly Segment[]): void {
  for (const { type, physical, fileSize, memorySize } of segments) {
    const rest = memorySize - fileSize;
    if (type !== PT_LOAD || rest <= 0 || !(physical + memorySize <= MAX_PHYSICAL)) continue;
    pieces.add(physical + fileSize, rest, ZERO_FILLED);
  }
}

/** The content of all PT_NOTE segments; notes that are not there are no reason to refuse a dump. */
function readNotes(source: ByteSource, segments: readonly Segment[]): DumpNotes {
  let room = MAX_NOTES;
  const parts: Uint8Array[] = [];
  for (const { type, offset, fileSize } of segments) {
    if (type !== PT_NOTE || fileSize > room) continue;
    const part = readBytes(source, offset, fileSize);
    if (part !== undefined) parts.push(part);
    room -= fileSize;
  }
  return parts.length === 0 ? NO_NOTES : dumpNotes(Buffer.concat(parts));
}
