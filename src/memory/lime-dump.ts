import { NO_NOTES } from "../formats/cpu-notes.ts";
import { LIME_HEADER_SIZE, parseLimeHeader } from "../formats/lime.ts";
import type { LimeHeader } from "../formats/lime.ts";
import { AvmlReader } from "./avml-reader.ts";
import { ChunkList } from "./avml-chunks.ts";
import { damaged, truncated } from "./dump-errors.ts";
import type { DumpFile } from "./dump-file.ts";
import { DumpMemory } from "./dump-memory.ts";
import { PieceList } from "./piece-list.ts";
import { SegmentMap } from "./segment-map.ts";
import { SegmentReader } from "./segment-reader.ts";

/** AVML begins a new block each 16 MiB, so these are 16 TiB. */
const MAX_BLOCKS = 2 ** 20;

/**
 * LiME (version 1) and AVML (version 2) files: a header and the bytes of each range of RAM, one
 * after another. AVML leaves out blocks that are all zero, so those read as missing.
 */
export function openLime(
  file: DumpFile,
  format: LimeHeader["format"],
  salvage: boolean,
): DumpMemory {
  const pieces = new PieceList();
  const chunks = new ChunkList();
  const problem = walk(file, pieces, chunks);
  if (problem !== undefined && !salvage) {
    throw problem.truncated ? truncated(file, problem.reason) : damaged(file, problem.reason);
  }
  const reader =
    format === "lime"
      ? new SegmentReader(file, SegmentMap.of(pieces))
      : AvmlReader.open(file, chunks);
  if (reader === undefined || reader.ranges.length === 0) {
    throw damaged(file, "it holds no memory that can be placed");
  }
  const incomplete = problem !== undefined;
  return new DumpMemory(
    { path: file.path, kind: format, notes: NO_NOTES, incomplete, excludedPages: 0 },
    reader,
  );
}

type Problem = { readonly truncated: boolean; readonly reason: string };

function walk(file: DumpFile, pieces: PieceList, chunks: ChunkList): Problem | undefined {
  const head = new Uint8Array(LIME_HEADER_SIZE);
  let at = 0;
  for (let count = 0; at < file.size; count++) {
    const got = file.read(at, head);
    if (got < head.length) return { truncated: true, reason: "it ends inside a block's header" };
    const header = parseLimeHeader(head);
    if (header === undefined || count >= MAX_BLOCKS) {
      return { truncated: false, reason: `there is no block header at position ${at}` };
    }
    at += head.length;
    if (header.format === "lime") {
      const length = Math.min(header.end - header.start, file.size - at);
      pieces.add(header.start, length, at);
      if (length < header.end - header.start) {
        return { truncated: true, reason: blockEnd(header) };
      }
      at += length;
    } else {
      const next = chunks.addBlock(file, at, header);
      if (next === undefined) {
        return { truncated: false, reason: `the snappy frames of ${blockName(header)} are broken` };
      }
      if (next > file.size) return { truncated: true, reason: blockEnd(header) };
      at = next;
    }
  }
  return undefined;
}

const blockName = (header: LimeHeader): string => `the block at 0x${header.start.toString(16)}`;
const blockEnd = (header: LimeHeader): string => `${blockName(header)} goes on beyond its end`;
