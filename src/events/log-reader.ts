import { closeSync, openSync, readSync } from "node:fs";
import { systemCode } from "../base/errors.ts";
import { checkedEvent } from "./event.ts";
import type { GuardEvent } from "./event.ts";

const CHUNK = 1 << 20;
/** No event is longer: a file without line breaks is no log. */
export const MAX_EVENT = 1 << 20;

/** A part of the log that does not fit, by its line, from 1. */
export type LogFault = { readonly line: number; readonly reason: string };

/** What is known at the end of the whole lines. */
export type LogEnd = {
  readonly events: number;
  readonly last: GuardEvent | undefined;
  /** Where the last good line ends, in bytes. */
  readonly offset: number;
  /** The first line that does not fit. */
  readonly fault: LogFault | undefined;
  /** Bytes of a last line that was never finished. */
  readonly torn: number;
};

const NOTHING: LogEnd = { events: 0, last: undefined, offset: 0, fault: undefined, torn: 0 };

/**
 * Reads the log from where an earlier reading ended, each event checked against the one before it;
 * a file that is not there is an empty one. Returns how it ended. Only the cutting off of whole
 * lines at the end cannot be seen from the log itself: compare `last` with what is known elsewhere.
 */
export function readLog(
  path: string,
  take: (event: GuardEvent) => void = () => {},
  from: LogEnd = NOTHING,
): LogEnd {
  let { events, last, offset } = from;
  let rest: Buffer = Buffer.alloc(0);
  for (const chunk of chunks(path, offset)) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      const event = checkedEvent(bytes.toString("utf8", start, end), last);
      if (typeof event === "string") {
        return { events, last, offset, fault: { line: events + 1, reason: event }, torn: 0 };
      }
      take(event);
      events++;
      last = event;
      offset += end + 1 - start;
      start = end + 1;
    }
    rest = bytes.subarray(start);
    if (rest.length > MAX_EVENT) {
      const fault = { line: events + 1, reason: "it is longer than any event" };
      return { events, last, offset, fault, torn: 0 };
    }
  }
  return { events, last, offset, fault: undefined, torn: rest.length };
}

function* chunks(path: string, from: number): Generator<Buffer> {
  const fd = openIfThere(path);
  if (fd === undefined) return;
  try {
    for (let at = from; ;) {
      const chunk = Buffer.alloc(CHUNK);
      const length = readSync(fd, chunk, 0, CHUNK, at);
      if (length === 0) return;
      yield chunk.subarray(0, length);
      at += length;
    }
  } finally {
    closeSync(fd);
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
}
