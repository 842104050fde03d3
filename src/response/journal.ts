import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { KvmsecError, systemCode } from "../base/errors.ts";
import { tryLockFile } from "../native/file-lock.ts";
import type { Home } from "../vm/home.ts";
import { follows, nextEntry, parseEntry } from "./journal-entry.ts";
import type { EntryContent, JournalEntry } from "./journal-entry.ts";

/** No entry is longer; the last one is looked for in so many bytes. */
const MAX_ENTRY = 256 * 1024;
const PATIENCE_MS = 5000;

/**
 * What kvmsec does to guests, written down and synced before it is done. Lines of JSON, append-only,
 * chained by hash. A line torn by a crash was never acted upon: it is cut off, and that is noted.
 */
export class Journal {
  readonly path: string;

  constructor(home: Home) {
    const folder = join(home.root, "journal");
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.path = join(folder, "actions.jsonl");
  }

  /** Appends an entry; it is on the disk when this returns. */
  async append(content: EntryContent): Promise<JournalEntry> {
    using held = new DisposableStack();
    held.use(await this.#lock());
    const fd = openSync(this.path, "a+", 0o600);
    try {
      const { last, torn } = this.#tail(fd);
      let previous = last;
      if (torn > 0) {
        previous = write(fd, previous, { kind: "torn", job: content.job, data: { bytes: torn } });
      }
      const entry = write(fd, previous, content);
      fsyncSync(fd);
      return entry;
    } finally {
      closeSync(fd);
    }
  }

  /** All entries. Throws KVMSEC_JOURNAL_DAMAGED, which names the first that does not fit. */
  read(): JournalEntry[] {
    const entries: JournalEntry[] = [];
    for (const line of this.#lines()) {
      const entry = parseEntry(line);
      const before = entries.at(-1);
      if (entry === undefined || !follows(before, entry)) throw this.#damaged(entries.length + 1);
      entries.push(entry);
    }
    return entries;
  }

  #lines(): string[] {
    try {
      const text = readFileSync(this.path, "utf8");
      // What follows the last line break is a line that was never finished.
      return text
        .slice(0, text.lastIndexOf("\n") + 1)
        .split("\n")
        .slice(0, -1);
    } catch (error) {
      if (systemCode(error) === "ENOENT") return [];
      throw error;
    }
  }

  /** The last whole entry, and how many bytes of a torn one were cut off behind it. */
  #tail(fd: number): { last: JournalEntry | undefined; torn: number } {
    const { size } = fstatSync(fd);
    const length = Math.min(size, 2 * MAX_ENTRY);
    const bytes = Buffer.alloc(length);
    readSync(fd, bytes, 0, length, size - length);
    const end = bytes.lastIndexOf(10) + 1;
    const torn = length - end;
    if (torn > 0) ftruncateSync(fd, size - torn);
    if (end === 0) return { last: undefined, torn };
    const start = bytes.lastIndexOf(10, end - 2) + 1;
    const last = parseEntry(bytes.toString("utf8", start, end - 1));
    if (last === undefined) throw this.#damaged(undefined);
    return { last, torn };
  }

  async #lock(): Promise<Disposable> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const lock = tryLockFile(`${this.path}.lock`);
      if (lock !== undefined) return lock;
      if (Date.now() > deadline) {
        throw new KvmsecError("KVMSEC_JOURNAL_BUSY", `Another kvmsec holds ${this.path}.`);
      }
      await sleep(5);
    }
  }

  #damaged(line: number | undefined): KvmsecError {
    const where = line === undefined ? "its last line" : `line ${line}`;
    return new KvmsecError(
      "KVMSEC_JOURNAL_DAMAGED",
      `${this.path} was changed: ${where} does not follow from what stands before it.`,
      { hint: "Keep the file as evidence and move it away; kvmsec begins a new one." },
    );
  }
}

function write(fd: number, before: JournalEntry | undefined, content: EntryContent): JournalEntry {
  const entry = nextEntry(before, content);
  const line = Buffer.from(`${JSON.stringify(entry)}\n`);
  if (line.length > MAX_ENTRY) throw new Error("a journal entry is too long");
  // All of it, in as many writes as that takes.
  writeFileSync(fd, line);
  return entry;
}
