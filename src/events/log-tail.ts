import { fstatSync, readSync } from "node:fs";
import { soundEvent } from "./event.ts";
import type { GuardEvent } from "./event.ts";
import { LogFiles } from "./log-files.ts";

/**
 * The events in the last so many bytes of a log, the oldest first, for those who look something up;
 * whether the log holds together is for `readLog` to say. A line that is no event, or was changed, is
 * left out. `whole` says whether that was all of the log.
 */
export function readLogTail(
  path: string,
  maxBytes: number,
): { readonly events: readonly GuardEvent[]; readonly whole: boolean } {
  using log = LogFiles.open(path);
  const parts: GuardEvent[][] = [];
  let left = maxBytes;
  for (const { fd } of log.files.toReversed()) {
    const { size } = fstatSync(fd);
    if (left === 0) return { events: parts.toReversed().flat(), whole: false };
    const length = Math.min(size, left);
    parts.push(eventsIn(bytesAt(fd, size - length, length), length < size));
    left = length < size ? 0 : left - length;
    if (length < size) return { events: parts.toReversed().flat(), whole: false };
  }
  return { events: parts.toReversed().flat(), whole: true };
}

/** The first line of a part is only the rest of one. */
function eventsIn(bytes: Buffer, cut: boolean): GuardEvent[] {
  const lines = bytes.toString("utf8").split("\n");
  return lines.slice(cut ? 1 : 0).flatMap((line) => soundEvent(line) ?? []);
}

function bytesAt(fd: number, from: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(fd, bytes, 0, length, from));
}
