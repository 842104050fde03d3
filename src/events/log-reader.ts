import { fstatSync, readSync } from "node:fs";
import { basename } from "node:path";
import { checkedEvent } from "./event.ts";
import type { GuardEvent } from "./event.ts";
import { LogFiles } from "./log-files.ts";
import type { LogFile } from "./log-files.ts";

const CHUNK = 1 << 20;
/** No event is longer: a file without line breaks is no log. */
export const MAX_EVENT = 1 << 20;

/** A part of the log that does not fit, by its file and line, from 1. */
export type LogFault = { readonly file: string; readonly line: number; readonly reason: string };

/** What is known at the end of the whole lines. */
export type LogEnd = {
  readonly events: number;
  readonly last: GuardEvent | undefined;
  /** Number of the event that the last file begins with. */
  readonly first: number;
  /** Lines of that file. */
  readonly lines: number;
  /** Where its last good line ends, in bytes. */
  readonly offset: number;
  /** The first line that does not fit. */
  readonly fault: LogFault | undefined;
  /** Bytes of a last line that was never finished. */
  readonly torn: number;
};

/** A log of which nothing was read. */
export const UNREAD: LogEnd = {
  events: 0,
  last: undefined,
  first: 1,
  lines: 0,
  offset: 0,
  fault: undefined,
  torn: 0,
};

/**
 * Reads the log, all its files, from where an earlier reading ended, each event checked against the
 * one before it; a log that is not there is an empty one. Returns how it ended. Only the cutting off
 * of whole lines at the end cannot be seen from the log itself: compare `last` with what is known
 * elsewhere.
 */
export function readLog(
  path: string,
  take: (event: GuardEvent) => void = () => {},
  from: LogEnd = UNREAD,
): LogEnd {
  using log = LogFiles.open(path);
  const files = from.last === undefined ? log.files : log.from(from.first);
  let end: LogEnd = { ...from, fault: undefined, torn: 0 };
  // Between two files, in the middle of a rotation, there is none to go on with.
  if (files.length === 0 && from.lines > 0) return missing(path, from);
  for (const file of files) {
    const read = readFile(file, take, end);
    if (read.fault !== undefined) return read;
    if (file.first === undefined) return read;
    if (read.torn > 0) {
      return faulty(file, read, "its last line is not finished, and another file follows");
    }
    // It is full: the next event begins another.
    end = beginning(read);
  }
  return end;
}

function beginning(end: LogEnd): LogEnd {
  return { ...end, first: end.events + 1, lines: 0, offset: 0 };
}

function readFile(file: LogFile, take: (event: GuardEvent) => void, from: LogEnd): LogEnd {
  let { events, lines, last, offset } = from;
  const soFar = (): LogEnd => ({ ...from, events, lines, last, offset });
  if (fstatSync(file.fd).size < offset) return faulty(file, from, "it is shorter than it was");
  let rest: Buffer = Buffer.alloc(0);
  for (const chunk of chunks(file.fd, offset)) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, start)) {
      const event = checkedEvent(bytes.toString("utf8", start, at), last);
      if (typeof event === "string") return faulty(file, soFar(), event);
      take(event);
      events++;
      lines++;
      last = event;
      offset += at + 1 - start;
      start = at + 1;
    }
    rest = bytes.subarray(start);
    if (rest.length > MAX_EVENT) return faulty(file, soFar(), "it is longer than any event");
  }
  return { ...soFar(), torn: rest.length };
}

function faulty({ path }: LogFile, end: LogEnd, reason: string): LogEnd {
  return { ...end, fault: { file: basename(path), line: end.lines + 1, reason }, torn: 0 };
}

function missing(path: string, end: LogEnd): LogEnd {
  const fault = { file: basename(path), line: end.lines, reason: "the file is gone" };
  return { ...end, fault, torn: 0 };
}

function* chunks(fd: number, from: number): Generator<Buffer> {
  for (let at = from; ;) {
    const chunk = Buffer.alloc(CHUNK);
    const length = readSync(fd, chunk, 0, CHUNK, at);
    if (length === 0) return;
    yield chunk.subarray(0, length);
    at += length;
  }
}
