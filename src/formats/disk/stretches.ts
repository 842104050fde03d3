import { diskBytes } from "./disk-bytes.ts";
import type { DiskBytes } from "./disk-bytes.ts";
import type { DiskPiece, Problem } from "./file-system.ts";

/** Bytes of a file that lie together on its volume; without a position they were never written. */
export type Stretch = {
  /** In the file. */
  readonly offset: number;
  readonly length: number;
  /** On the volume. */
  readonly position: number | undefined;
};

/**
 * A file's content out of its stretches, by rising offset; what no stretch covers is a hole, up to
 * `size`. `stretchesOf` is given where to tell of stretches that cannot be read. Ends early, with
 * `problem` told.
 */
export function* piecesOf(
  volume: DiskBytes,
  size: number,
  stretchesOf: (problem: Problem) => Iterable<Stretch>,
  problem: Problem,
): Generator<DiskPiece> {
  let done = 0;
  let isWhole = true;
  const told = (reason: string): void => {
    isWhole = false;
    problem(reason);
  };
  for (const { offset, length, position } of stretchesOf(told)) {
    if (offset > done) yield { offset: done, length: offset - done, bytes: "hole" };
    const bytes = position === undefined ? "unwritten" : diskBytes(volume, position, length);
    if (bytes === undefined) return problem("a block cannot be read");
    yield { offset, length, bytes };
    done = offset + length;
  }
  if (isWhole && done < size) yield { offset: done, length: size - done, bytes: "hole" };
  return undefined;
}
