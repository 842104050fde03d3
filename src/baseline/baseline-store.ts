import { join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { openDatabase, transaction } from "../base/database.ts";
import { KvmsecError, usageError } from "../base/errors.ts";
import type { Home } from "../vm/home.ts";
import type { Difference } from "./diff.ts";
import { itemKinds } from "./observe.ts";
import type { Item, ItemKind } from "./observe.ts";

/** A baseline of a guest, without what it holds. */
export type Baseline = {
  readonly name: string;
  readonly createdAt: string;
  readonly by: string;
  readonly note: string;
};

/** What was accepted into a baseline later on. */
export type Acceptance = {
  readonly at: string;
  readonly by: string;
  readonly note: string;
  readonly kind: ItemKind;
  readonly key: string;
  readonly before: string | null;
  readonly after: string | null;
};

const migrations = [
  `CREATE TABLE baselines (
     name TEXT PRIMARY KEY, created_at TEXT NOT NULL, by TEXT NOT NULL, note TEXT NOT NULL) STRICT;
   CREATE TABLE items (
     name TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
     PRIMARY KEY (name, kind, key)) STRICT;
   CREATE TABLE accepted (
     name TEXT NOT NULL, at TEXT NOT NULL, by TEXT NOT NULL, note TEXT NOT NULL,
     kind TEXT NOT NULL, key TEXT NOT NULL, before TEXT, after TEXT) STRICT;`,
];

/** What is known good of this home's guests. It cannot be made anew, so a damaged one is refused. */
export class BaselineStore implements Disposable {
  readonly #database: DatabaseSync;

  /** Throws KVMSEC_STORE_NEWER, KVMSEC_STORE_DAMAGED, KVMSEC_STORE_UNUSABLE. */
  constructor({ root }: Pick<Home, "root">) {
    const path = join(root, "baseline", "baseline.sqlite");
    this.#database = openDatabase(path, { migrations, renewable: false });
  }

  /** All baselines, by name. */
  list(): Baseline[] {
    return this.#database
      .prepare("SELECT * FROM baselines ORDER BY name")
      .all()
      .map((row) => ({
        name: String(row["name"]),
        createdAt: String(row["created_at"]),
        by: String(row["by"]),
        note: String(row["note"]),
      }));
  }

  /** Keeps what was seen. Throws KVMSEC_BASELINE_EXISTS unless it is to replace what is there. */
  create(baseline: Baseline, items: readonly Item[], replace: boolean): void {
    const { name, createdAt, by, note } = baseline;
    const there = this.list().some((one) => one.name === name);
    if (there && !replace) {
      throw usageError(
        "KVMSEC_BASELINE_EXISTS",
        `There is a baseline of ${name}.`,
        "--replace puts this one in its place; kvmsec baseline accept takes single changes over.",
      );
    }
    transaction(this.#database, () => {
      for (const table of ["baselines", "items", "accepted"]) {
        this.#database.prepare(`DELETE FROM ${table} WHERE name = ?`).run(name);
      }
      const insert = this.#database.prepare("INSERT INTO baselines VALUES (?, ?, ?, ?)");
      insert.run(name, createdAt, by, note);
      for (const item of items) this.#put(name, item.kind, item.key, item.value);
    });
  }

  /** What a baseline holds. Throws KVMSEC_BASELINE_MISSING. */
  items(name: string): Item[] {
    if (!this.list().some((one) => one.name === name)) throw missing(name);
    return this.#database
      .prepare("SELECT kind, key, value FROM items WHERE name = ? ORDER BY kind, key")
      .all(name)
      .map(({ kind, key, value }) => ({
        kind: kindOf(kind),
        key: String(key),
        value: String(value),
      }));
  }

  /** Takes differences over: what they say is known good from now on. */
  accept(
    name: string,
    differences: readonly Difference[],
    { by, note }: { readonly by: string; readonly note: string },
  ): void {
    const at = new Date().toISOString();
    transaction(this.#database, () => {
      const record = this.#database.prepare("INSERT INTO accepted VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
      for (const { kind, key, before, after } of differences) {
        record.run(name, at, by, note, kind, key, before ?? null, after ?? null);
        if (after !== undefined) this.#put(name, kind, key, after);
        else {
          this.#database
            .prepare("DELETE FROM items WHERE name = ? AND kind = ? AND key = ?")
            .run(name, kind, key);
        }
      }
    });
  }

  /** What was accepted, the oldest first. */
  history(name: string): Acceptance[] {
    return this.#database
      .prepare("SELECT * FROM accepted WHERE name = ? ORDER BY at, rowid")
      .all(name)
      .map(({ at, by, note, kind, key, before, after }) => ({
        at: String(at),
        by: String(by),
        note: String(note),
        kind: kindOf(kind),
        key: String(key),
        before: before === null ? null : String(before),
        after: after === null ? null : String(after),
      }));
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #put(name: string, kind: string, key: string, value: string): void {
    this.#database
      .prepare("INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?)")
      .run(name, kind, key, value);
  }
}

function kindOf(value: unknown): ItemKind {
  const kind = itemKinds.find((one) => one === value);
  if (kind !== undefined) return kind;
  throw new KvmsecError("KVMSEC_STORE_DAMAGED", `A baseline holds a ${String(value)}.`);
}

function missing(name: string): KvmsecError {
  return usageError(
    "KVMSEC_BASELINE_MISSING",
    `There is no baseline of ${name}.`,
    `Make one while the guest is known to be good: kvmsec baseline create ${name}`,
  );
}
