import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { KvmsecError } from "./errors.ts";

/** Another kvmsec that writes is waited for. */
const BUSY_MS = 10_000;

/** How a database is made and kept. */
export type DatabaseOptions = {
  /**
   * What makes a database of version N into one of version N + 1, by N. Never changed once it was
   * published: a change is another step.
   */
  readonly migrations: readonly string[];
  /** It holds nothing that cannot be made anew: a damaged one is put aside, and a new one begins. */
  readonly renewable: boolean;
};

/**
 * Opens a database and brings it to the newest form. Throws KVMSEC_STORE_NEWER where a newer kvmsec
 * made it, KVMSEC_STORE_DAMAGED, KVMSEC_STORE_UNUSABLE.
 */
export function openDatabase(path: string, options: DatabaseOptions): DatabaseSync {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    return openSound(path, options);
  } catch (error) {
    if (error instanceof KvmsecError) throw error;
    if (!isDamage(error)) throw unusable(path, error);
    if (!options.renewable) throw damaged(path, error);
  }
  renameSync(path, `${path}.damaged-${Date.now()}`);
  for (const beside of [`${path}-wal`, `${path}-shm`]) rmSync(beside, { force: true });
  try {
    return openSound(path, options);
  } catch (error) {
    throw unusable(path, error);
  }
}

function openSound(path: string, { migrations }: DatabaseOptions): DatabaseSync {
  const fresh = !existsSync(path);
  const umask = process.umask(0o077);
  let database: DatabaseSync;
  try {
    database = new DatabaseSync(path);
  } finally {
    process.umask(umask);
  }
  try {
    database.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
    if (!fresh) mustBeSound(database);
    // What a crash takes away is read from the log once more.
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    migrate(database, path, migrations);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

class Damaged extends Error {}

function mustBeSound(database: DatabaseSync): void {
  const row = database.prepare("PRAGMA quick_check(1)").get();
  if (row?.["quick_check"] !== "ok") throw new Damaged("quick_check");
}

/** SQLITE_CORRUPT and SQLITE_NOTADB (sqlite3.h). */
function isDamage(error: unknown): boolean {
  const code = (error as { errcode?: unknown } | null)?.errcode;
  return error instanceof Damaged || code === 11 || code === 26;
}

function migrate(database: DatabaseSync, path: string, migrations: readonly string[]): void {
  transaction(database, () => {
    const version = Number(database.prepare("PRAGMA user_version").get()?.["user_version"]);
    if (version > migrations.length) {
      throw new KvmsecError("KVMSEC_STORE_NEWER", `${path} was made by a newer kvmsec.`, {
        hint: "Use that kvmsec, or move the file away.",
      });
    }
    for (const step of migrations.slice(version)) database.exec(step);
    database.exec(`PRAGMA user_version = ${migrations.length}`);
  });
}

/** All of it or nothing; others who write wait. */
export function transaction(database: DatabaseSync, work: () => void): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    work();
    database.exec("COMMIT");
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

function unusable(path: string, error: unknown): KvmsecError {
  return new KvmsecError("KVMSEC_STORE_UNUSABLE", `${path} cannot be used: ${String(error)}.`, {
    hint: "Free room on its disk, or look who else holds it.",
    cause: error,
  });
}

function damaged(path: string, error: unknown): KvmsecError {
  return new KvmsecError("KVMSEC_STORE_DAMAGED", `${path} is damaged.`, {
    hint: "Restore it from a backup, or move it away and begin anew.",
    cause: error,
  });
}
