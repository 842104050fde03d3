import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { nextEvent } from "./event.ts";
import type { EventContent, GuardEvent } from "./event.ts";
import { MAX_EVENT, readLog } from "./log-reader.ts";

/** Where the log of a home lies. */
export function eventLogPath(root: string): string {
  return join(root, "events", "events.jsonl");
}

/**
 * What the guard saw, decided and did: lines of JSON, append-only, chained by hash, synced before
 * anything is done about them. It has one writer, who holds the daemon's lock.
 */
export class EventLog implements Disposable {
  readonly path: string;
  #fd: number;
  #last: GuardEvent | undefined;
  readonly #listeners = new Set<(event: GuardEvent) => void>();

  private constructor(path: string, fd: number, last: GuardEvent | undefined) {
    this.path = path;
    this.#fd = fd;
    this.#last = last;
  }

  /**
   * Opens the log for writing and gives every event that it holds to `take`. A line torn by a crash
   * was never acted upon: it is cut off, and that is recorded. A log that was changed is put aside
   * as it is, a new one begins with that fact, and the guard goes on.
   */
  static open(path: string, take: (event: GuardEvent) => void = () => {}): EventLog {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const { fault, torn, last, offset } = readLog(path, take);
    if (fault !== undefined) {
      const aside = `${path}.damaged-${Date.now()}`;
      renameSync(path, aside);
      const log = new EventLog(path, openSync(path, "a", 0o600), undefined);
      log.append({ kind: "log-damaged", guest: null, data: { aside, ...fault } });
      return log;
    }
    const log = new EventLog(path, openSync(path, "a", 0o600), last);
    if (torn > 0) {
      ftruncateSync(log.#fd, offset);
      log.append({ kind: "log-torn", guest: null, data: { bytes: torn } });
    }
    return log;
  }

  /** Appends an event; it is on the disk when this returns. Throws what the disk says (ENOSPC). */
  append(content: EventContent): GuardEvent {
    const event = nextEvent(this.#last, content);
    const line = Buffer.from(`${JSON.stringify(event)}\n`);
    if (line.length > MAX_EVENT) {
      return this.append({ ...content, data: { omitted: line.length } });
    }
    const { size } = fstatSync(this.#fd);
    try {
      for (let done = 0; done < line.length;) done += writeSync(this.#fd, line, done);
      fsyncSync(this.#fd);
    } catch (error) {
      // A full disk: no half a line may stand before the next one.
      ftruncateSync(this.#fd, size);
      throw error;
    }
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
}
