import {
  closeSync,
  fstatSync,
  futimesSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { eachRecord, PCAP_HEADER } from "../formats/pcap.ts";

/** Longer than any packet. */
const PIECE = 2 ** 20;

/**
 * Takes the oldest packets out of a file that nobody writes to any more, so that no more than so many
 * bytes are left. Its time of change stays: it is that of its last packet.
 */
export function cutPackets(path: string, maxBytes: number): void {
  const partial = `${path}.new`;
  const from = openSync(path, "r");
  try {
    const { size, atime, mtime } = fstatSync(from);
    const start = firstKept(from, size, maxBytes);
    const to = openSync(partial, "w", 0o600);
    try {
      copyRange(from, to, 0, PCAP_HEADER);
      copyRange(from, to, start, size);
      futimesSync(to, atime, mtime);
    } finally {
      closeSync(to);
    }
    renameSync(partial, path);
  } finally {
    closeSync(from);
    rmSync(partial, { force: true });
  }
}

/** Where the first record begins behind which so many bytes are left; the end where there is none. */
function firstKept(fd: number, size: number, maxBytes: number): number {
  const earliest = size - (maxBytes - PCAP_HEADER);
  const buffer = Buffer.alloc(PIECE);
  for (let at = PCAP_HEADER; at < size;) {
    const bytes = buffer.subarray(0, readSync(fd, buffer, 0, PIECE, at));
    let found: number | undefined;
    const { used } = eachRecord(bytes, (record) => {
      if (at + record.at >= earliest) found ??= at + record.at;
    });
    if (found !== undefined) return found;
    if (used === 0) break;
    at += used;
  }
  return size;
}

function copyRange(from: number, to: number, start: number, end: number): void {
  const buffer = Buffer.alloc(PIECE);
  for (let at = start; at < end;) {
    const got = readSync(from, buffer, 0, Math.min(PIECE, end - at), at);
    if (got === 0) return;
    for (let done = 0; done < got;) done += writeSync(to, buffer, done, got - done);
    at += got;
  }
}
