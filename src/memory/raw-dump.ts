import { PAGE_SIZE } from "../base/address.ts";
import { NO_NOTES } from "../formats/cpu-notes.ts";
import { looksRandom } from "../formats/foreign.ts";
import { beingWritten, foreign, truncated } from "./dump-errors.ts";
import type { DumpFile } from "./dump-file.ts";
import { DumpMemory } from "./dump-memory.ts";
import { PieceList } from "./piece-list.ts";
import { pcLayout } from "./ranges.ts";
import { SegmentMap } from "./segment-map.ts";
import { SegmentReader } from "./segment-reader.ts";

const SMALLEST = 2 ** 20;
const SAMPLES = 64;

export type RawOptions = {
  /** RAM below the 4-GiB hole; the file goes on at 4 GiB with what follows. */
  readonly lowSize: number | undefined;
  readonly salvage: boolean;
  /** The user said that it is a raw image, so what it looks like does not matter. */
  readonly forced: boolean;
};

/**
 * An image without any header: the byte at a position is the byte at that physical address, or
 * with `lowSize` the hole below 4 GiB is left out, as in the RAM file of a QEMU guest.
 */
export function openRaw(file: DumpFile, options: RawOptions): DumpMemory {
  const { salvage, forced } = options;
  const size = Math.floor(file.size / PAGE_SIZE) * PAGE_SIZE;
  if (!forced) refuseOthers(file);
  if (size < file.size && !salvage) {
    throw truncated(file, "its size is not a whole number of pages");
  }
  const writer = salvage ? undefined : beingWritten(file);
  if (writer !== undefined) throw writer;
  const pieces = new PieceList();
  for (const block of pcLayout(size, options.lowSize ?? size)) {
    if (block.size > 0) pieces.add(block.start, block.size, block.offset);
  }
  return new DumpMemory(
    {
      path: file.path,
      kind: "raw",
      notes: NO_NOTES,
      incomplete: size < file.size,
      excludedPages: 0,
    },
    new SegmentReader(file, SegmentMap.of(pieces)),
  );
}

function refuseOthers(file: DumpFile): void {
  if (file.size < SMALLEST) throw foreign(file, "smaller than any machine's memory");
  if (looksRandom(samples(file))) {
    throw foreign(
      file,
      "random, encrypted or compressed throughout",
      "A guest with encrypted memory cannot be read from outside.",
    );
  }
}

function* samples(file: DumpFile): Generator<Uint8Array> {
  const page = new Uint8Array(PAGE_SIZE);
  for (let index = 0; index < SAMPLES; index++) {
    const at = Math.floor(((file.size / PAGE_SIZE) * index) / SAMPLES) * PAGE_SIZE;
    yield page.subarray(0, file.read(at, page));
  }
}
