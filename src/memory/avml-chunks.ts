import type { LimeHeader } from "../formats/lime.ts";
import { CHUNK_HEAD_SIZE, parseSnappyChunk } from "../formats/snappy-frame.ts";
import type { ByteSource } from "./byte-source.ts";
import { PieceList } from "./piece-list.ts";

/** At 64 KiB of memory each these are 256 GiB; each takes 24 bytes of index. */
const MAX_CHUNKS = 2 ** 22;
/** After a block's frames, AVML writes their total length. */
const TRAILER_SIZE = 8;

/** Where the chunk that holds an address lies in an AVML file. */
export class ChunkList {
  /** Address, bytes of memory, position of the chunk in the file. */
  readonly pieces = new PieceList();

  /**
   * Walks the frames of one block, which begin at `at`, without decoding them. Returns where the
   * next block begins, which is beyond the file if this one is cut, or undefined where the
   * frames are none.
   */
  addBlock(source: ByteSource, at: number, block: LimeHeader): number | undefined {
    const head = new Uint8Array(CHUNK_HEAD_SIZE);
    let physical = block.start;
    let position = at;
    while (physical < block.end) {
      const got = source.read(position, head);
      if (got < 4) return Number.POSITIVE_INFINITY;
      const chunk = parseSnappyChunk(head.subarray(0, got));
      if (chunk === undefined || physical + chunk.size > block.end) return undefined;
      if (position + chunk.fileSize > source.size) return Number.POSITIVE_INFINITY;
      if (chunk.size > 0) {
        if (this.pieces.count >= MAX_CHUNKS) return undefined;
        this.pieces.add(physical, chunk.size, position);
      }
      physical += chunk.size;
      position += chunk.fileSize;
    }
    return position + TRAILER_SIZE;
  }
}
