import {
  FLAT_HEADER_SIZE,
  FLAT_PIECE_HEADER_SIZE,
  flatVersion,
  parseFlatPiece,
} from "../formats/makedumpfile-flat.ts";
import type { ByteSource } from "./byte-source.ts";
import { damaged, truncated, unsupported } from "./dump-errors.ts";
import type { DumpFile } from "./dump-file.ts";
import { PieceList } from "./piece-list.ts";
import { SegmentMap } from "./segment-map.ts";

/** QEMU writes pieces of 16 KiB, so these are 128 GiB; each takes 24 bytes of index. */
const MAX_PIECES = 2 ** 23;

/** The file that a flattened makedumpfile stream stands for, at the positions it stands for. */
export class FlatFile implements ByteSource {
  readonly size: number;
  readonly #file: DumpFile;
  readonly #map: SegmentMap;

  private constructor(file: DumpFile, map: SegmentMap) {
    this.#file = file;
    this.#map = map;
    this.size = map.end;
  }

  /** Reads the headers of all writes, not their bytes. Throws where the stream breaks off. */
  static open(file: DumpFile, head: Uint8Array, salvage: boolean): FlatFile {
    const { type, version } = flatVersion(head);
    if (type !== 1n || version !== 1n) {
      throw unsupported(
        file,
        `its flattened form has type ${type}, version ${version}`,
        "Rearrange it with `makedumpfile -R`, then open the result.",
      );
    }
    const pieces = new PieceList();
    const end = walk(file, pieces);
    if (end === "truncated" && !salvage) throw truncated(file, "its end mark is missing");
    if (end === "damaged" && !salvage) throw damaged(file, "a write in it has impossible bounds");
    return new FlatFile(file, SegmentMap.of(pieces));
  }

  read(position: number, target: Uint8Array): number {
    const map = this.#map;
    const wanted = Math.min(target.length, this.size - position);
    let done = 0;
    for (let index = map.indexAt(position); done < wanted; index++) {
      const at = position + done;
      // What no write covers is a hole of the file that the stream stands for.
      const hole = Math.min(wanted - done, Math.max(0, map.starts[index] - at));
      target.fill(0, done, done + hole);
      done += hole;
      const length = Math.min(wanted - done, map.ends[index] - at - hole);
      const part = target.subarray(done, done + length);
      const got = this.#file.read(map.offsets[index] + at + hole - map.starts[index], part);
      done += got;
      if (got < length) break;
    }
    return Math.max(0, done);
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
}

function walk(file: DumpFile, pieces: PieceList): "end" | "truncated" | "damaged" {
  const header = new Uint8Array(FLAT_PIECE_HEADER_SIZE);
  let at = FLAT_HEADER_SIZE;
  for (;;) {
    if (file.read(at, header) < header.length) return "truncated";
    const piece = parseFlatPiece(header);
    if (piece === "end") return "end";
    if (piece === undefined || pieces.count >= MAX_PIECES) return "damaged";
    at += header.length;
    if (at + piece.size > file.size) return "truncated";
    if (piece.size > 0) pieces.add(piece.offset, piece.size, at);
    at += piece.size;
  }
}
