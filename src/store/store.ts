import type { DatabaseSync, SQLInputValue, SQLOutputValue } from "node:sqlite";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { openDatabase, transaction } from "../base/database.ts";
import { KvmsecError } from "../base/errors.ts";
import type { GuardEvent } from "../events/event.ts";
import { eventLogPath } from "../events/event-log.ts";
import { readLog, UNREAD } from "../events/log-reader.ts";
import type { LogEnd, LogFault } from "../events/log-reader.ts";
import { Journal } from "../response/journal.ts";
import type { JournalEntry } from "../response/journal-entry.ts";
import type { Home } from "../vm/home.ts";
import { migrations } from "./migrations.ts";
import { takeEvent } from "./take-event.ts";
import { takeEntry } from "./take-journal.ts";

/** Where the store of a home lies. */
export function storePath(home: Pick<Home, "root">): string {
  return join(home.root, "store", "kvmsec.sqlite");
}

export type Row = Readonly<Record<string, SQLOutputValue>>;

/** What the store has taken in of a log that does not hold it any more. */
export type LogCut = {
  /** The last event that the store had seen, by number and hash. */
  readonly events: number;
  readonly hash: string;
  /** How many events the log held when that was noticed. */
  readonly found: number;
};

const KEPT = ["guests", "sweeps", "findings", "finding_life", "decisions", "reactions"] as const;

/**
 * Guests, sweeps, findings and their life, decisions, jobs and evidence, in SQLite, for questions.
 * The truth is in the event log and the journal of actions: the store is caught up with them
 * whenever it is opened, and made anew from them where it does not fit them or is lost.
 */
export class Store implements Disposable {
  readonly #home: Home;
  readonly #database: DatabaseSync;

  private constructor(home: Home, database: DatabaseSync) {
    this.#home = home;
    this.#database = database;
  }

  /** Opens it and catches up. Throws KVMSEC_STORE_NEWER, KVMSEC_STORE_UNUSABLE. */
  static open(home: Home): Store {
    const store = new Store(home, openDatabase(storePath(home), { migrations, renewable: true }));
    try {
      store.catchUp();
      return store;
    } catch (error) {
      store[Symbol.dispose]();
      throw error;
    }
  }

  /** Takes in what the log and the journal hold by now. Returns a part of the log that does not fit. */
  catchUp(): LogFault | undefined {
    let fault: LogFault | undefined;
    try {
      transaction(this.#database, () => {
        fault = this.#takeLog();
        this.#takeJournal();
      });
    } catch (error) {
      if (error instanceof KvmsecError) throw error;
      throw new KvmsecError(
        "KVMSEC_STORE_UNUSABLE",
        `The store cannot be written: ${String(error)}.`,
        {
          hint: "Free room on its disk; it is made anew from the event log where it is missing.",
          cause: error,
        },
      );
    }
    return fault;
  }

  /** Rows that answer a question, objects by column. */
  all(sql: string, ...values: readonly SQLInputValue[]): Row[] {
    return this.#database.prepare(sql).all(...values);
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  /**
   * Events at the end of the log that were cut off, or all of it exchanged for another one: the log
   * alone cannot tell. Known until the log itself has it on record (`log-cut`).
   */
  get cut(): LogCut | undefined {
    return this.#recall<LogCut>("cut");
  }

  #takeLog(): LogFault | undefined {
    const take = (event: GuardEvent): void => {
      takeEvent(this.#database, event);
      if (event.kind === "log-cut" && event.data["hash"] === this.cut?.hash) this.#forget("cut");
    };
    const path = eventLogPath(this.#home.root);
    const known = this.#position();
    let end = readLog(path, take, known);
    if (end.fault !== undefined && known.events > 0) {
      // Another log lies there than the one that was read: what was put aside is no part of it.
      for (const table of KEPT) this.#database.exec(`DELETE FROM ${table}`);
      this.#database.exec("DELETE FROM evidence WHERE job IS NULL");
      let first: GuardEvent | undefined;
      let same: GuardEvent | undefined;
      end = readLog(path, (event) => {
        first ??= event;
        if (event.sequence === known.events) same = event;
        take(event);
      });
      const cut = same?.hash !== known.last?.hash && first?.kind !== "log-damaged";
      if (cut && end.fault === undefined) this.#rememberCut(known, end);
    }
    this.#remember("log", { ...end, fault: undefined });
    return end.fault;
  }

  /** Of several cuts the first is told: what it knows of lies furthest back. */
  #rememberCut(known: LogEnd, { events }: LogEnd): void {
    if (known.last === undefined || this.cut !== undefined) return;
    const { sequence, hash } = known.last;
    this.#remember("cut", { events: sequence, hash, found: events } satisfies LogCut);
  }

  /** A position whose own event the log no longer has shows at the next event, which then does not follow. */
  #position(): LogEnd {
    return this.#recall<LogEnd>("log") ?? UNREAD;
  }

  #takeJournal(): void {
    const entries = this.#entries();
    const known = this.#recall<{ entries: number; hash: string }>("journal");
    const same = known !== undefined && entries[known.entries - 1]?.hash === known.hash;
    if (known !== undefined && !same) this.#database.exec("DELETE FROM jobs");
    for (const entry of entries.slice(same ? known.entries : 0)) takeEntry(this.#database, entry);
    const last = entries.at(-1);
    if (last !== undefined) this.#remember("journal", { entries: entries.length, hash: last.hash });
  }

  /** A journal that was changed is told by those who act upon it. */
  #entries(): JournalEntry[] {
    try {
      return new Journal(this.#home).read();
    } catch (error) {
      if (error instanceof KvmsecError && error.code === "KVMSEC_JOURNAL_DAMAGED") return [];
      throw error;
    }
  }

  #recall<Value>(key: string): Value | undefined {
    const row = this.#database.prepare("SELECT value FROM meta WHERE key = ?").get(key);
    return row === undefined ? undefined : (JSON.parse(String(row["value"])) as Value);
  }

  #forget(key: string): void {
    this.#database.prepare("DELETE FROM meta WHERE key = ?").run(key);
  }

  #remember(key: string, value: object): void {
    this.#database
      .prepare("INSERT OR REPLACE INTO meta VALUES (?, ?)")
      .run(key, JSON.stringify(value));
  }
}

/** What the store of that home knows to be cut off its log. A home without a store has nobody who remembers. */
export function knownCut(home: Home): LogCut | undefined {
  if (!existsSync(storePath(home))) return undefined;
  using store = Store.open(home);
  return store.cut;
}
