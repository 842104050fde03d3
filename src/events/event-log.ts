import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  writeSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { syncPath } from "../base/durable.ts";
import { nextEvent } from "./event.ts";
import type { EventContent, GuardEvent } from "./event.ts";
import { segmentPath, segmentsOf } from "./log-files.ts";
import { MAX_EVENT, readLog } from "./log-reader.ts";
import type { LogEnd } from "./log-reader.ts";

/** Where the log of a home lies. */
export function eventLogPath(root: string): string {
  return join(root, "events", "events.jsonl");
}

/** A file of the log that is larger gives its place to a new one. */
export const ROTATE_BYTES = 64 * 2 ** 20;

/**
 * What the guard saw, decided and did: lines of JSON, append-only, chained by hash, synced before
 * anything is done about them. It has one writer, who holds the daemon's lock. A file that has
 * grown too large is put beside it and the chain goes on in a new one.
 */
export class EventLog implements Disposable {
  readonly path: string;
  readonly #rotateBytes: number;
  #fd: number;
  #first: number;
  #last: GuardEvent | undefined;
  /** Where the file ends, as far as it was written by us. */
  #size: number;
  readonly #listeners = new Set<(event: GuardEvent) => void>();

  private constructor(path: string, end: Pick<LogEnd, "first" | "last">, rotateBytes: number) {
    this.path = path;
    this.#rotateBytes = rotateBytes;
    this.#fd = openSync(path, "a", 0o600);
    this.#size = fstatSync(this.#fd).size;
    this.#first = end.first;
    this.#last = end.last;
  }

  /**
   * Opens the log for writing and gives every event that it holds to `take`. A line torn by a crash
   * was never acted upon: it is cut off, and that is recorded. A log that was changed is put aside
   * as it is, a new one begins with that fact, and the guard goes on.
   */
  static open(
    path: string,
    take: (event: GuardEvent) => void = () => {},
    rotateBytes = ROTATE_BYTES,
  ): EventLog {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const end = readLog(path, take);
    if (end.fault !== undefined) {
      const aside = putAside(path);
      const log = new EventLog(path, { first: 1, last: undefined }, rotateBytes);
      log.append({ kind: "log-damaged", guest: null, data: { aside, ...end.fault } });
      return log;
    }
    const log = new EventLog(path, end, rotateBytes);
    if (end.torn > 0) {
      ftruncateSync(log.#fd, end.offset);
      log.#size = end.offset;
      log.append({ kind: "log-torn", guest: null, data: { bytes: end.torn } });
    }
    return log;
  }

  /**
   * Appends an event; it is on the disk when this returns. A file that somebody else has cut, written
   * to or removed meanwhile is put aside first, as `open` does. Throws what the disk says (ENOSPC).
   */
  append(content: EventContent): GuardEvent {
    const { size: found, nlink } = fstatSync(this.#fd);
    if (found !== this.#size || nlink === 0) this.#beginAnew(found);
    const text = JSON.stringify(nextEvent(this.#last, content));
    const line = Buffer.from(`${text}\n`);
    if (line.length > MAX_EVENT) {
      return this.append({ ...content, data: { omitted: line.length } });
    }
    this.#rotate(line.length);
    try {
      for (let done = 0; done < line.length;) done += writeSync(this.#fd, line, done);
      fsyncSync(this.#fd);
    } catch (error) {
      // A full disk: no half a line may stand before the next one.
      ftruncateSync(this.#fd, this.#size);
      throw error;
    }
    this.#size += line.length;
    // What is told of it is what will be read of it: times are text by now.
    const event = JSON.parse(text) as GuardEvent;
    this.#last = event;
    for (const listener of this.#listeners) listener(event);
    return event;
  }

  /** Calls the listener for each event from now on. */
  on(listener: (event: GuardEvent) => void): void {
    this.#listeners.add(listener);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #beginAnew(found: number): void {
    const facts = { file: basename(this.path), expected: this.#size, found };
    const aside = putAside(this.path);
    closeSync(this.#fd);
    this.#fd = openSync(this.path, "a", 0o600);
    this.#size = 0;
    this.#first = 1;
    this.#last = undefined;
    const reason = "it was cut, written to or removed while the guard had it open";
    this.append({ kind: "log-damaged", guest: null, data: { aside, ...facts, reason } });
  }

  /** Whoever dies in the middle of it leaves a log without a file to write to, which is opened anew. */
  #rotate(more: number): void {
    if (this.#size === 0 || this.#size + more <= this.#rotateBytes) return;
    renameSync(this.path, segmentPath(this.path, this.#first));
    const fd = openSync(this.path, "a", 0o600);
    syncPath(dirname(this.path));
    closeSync(this.#fd);
    this.#fd = fd;
    this.#size = 0;
    this.#first = (this.#last?.sequence ?? 0) + 1;
  }
}

/** All files of a log that does not hold together, as they are. */
function putAside(path: string): string[] {
  const suffix = `.damaged-${Date.now()}`;
  const files = [...segmentsOf(path).map(({ name }) => name), path].filter((file) =>
    existsSync(file),
  );
  for (const file of files) renameSync(file, `${file}${suffix}`);
  return files.map((file) => `${file}${suffix}`);
}
