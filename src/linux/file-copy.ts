import type { FilePiece, HoleReason } from "./page-cache.ts";

/** A stretch of a copied file whose bytes are not the file's. */
export type FileHole = {
  readonly offset: number;
  readonly length: number;
  readonly reason: HoleReason;
};

/** What a copy of a file holds. */
export type FileCopy = {
  /** Bytes of the whole file. */
  readonly size: number;
  /** Bytes that were copied. */
  readonly copied: number;
  /** Stretches that were left as zeros: ascending, disjoint, each reason as long as it goes. */
  readonly holes: readonly FileHole[];
  /** Every byte is the file's: there is no hole but true ones. */
  readonly complete: boolean;
};

/** Hands the bytes of a file's pieces to `write`, and tells what was missing. */
export function copyPieces(
  pieces: Iterable<FilePiece>,
  write: (offset: number, bytes: Uint8Array) => void,
): FileCopy {
  const holes: { offset: number; length: number; reason: HoleReason }[] = [];
  let size = 0;
  let copied = 0;
  for (const piece of pieces) {
    size = piece.offset + piece.length;
    if (piece.bytes !== undefined) {
      write(piece.offset, piece.bytes);
      copied += piece.length;
      continue;
    }
    const last = holes.at(-1);
    const goesOn = last !== undefined && last.offset + last.length === piece.offset;
    if (goesOn && last.reason === piece.hole) last.length += piece.length;
    else holes.push({ offset: piece.offset, length: piece.length, reason: piece.hole });
  }
  return { size, copied, holes, complete: holes.every(({ reason }) => reason === "sparse") };
}
