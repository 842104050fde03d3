import type { DatabaseSync } from "node:sqlite";
import type { JournalEntry } from "../response/journal-entry.ts";

/** Puts an entry of the journal of actions into the tables. */
export function takeEntry(database: DatabaseSync, { kind, job, at, data }: JournalEntry): void {
  const run = (sql: string, ...values: (string | null)[]): void =>
    void database.prepare(sql).run(...values);
  if (kind === "begin") {
    run(
      "INSERT OR REPLACE INTO jobs (id, action, target, begun_at, data) VALUES (?, ?, ?, ?, ?)",
      job,
      data.action,
      data.target.text,
      at,
      JSON.stringify(data),
    );
  } else if (kind === "step") {
    run("UPDATE jobs SET step = ? WHERE id = ?", data.name, job);
  } else if (kind === "end") {
    run("UPDATE jobs SET ended_at = ?, result = ? WHERE id = ?", at, data.result, job);
    indexCapture(database, job, at);
  }
}

/** A capture that came to its end left a package. */
function indexCapture(database: DatabaseSync, job: string, at: string): void {
  database
    .prepare(
      `INSERT INTO evidence (folder, kind, guest, made_at, job)
       SELECT data ->> 'folder', 'capture', target, ?, id FROM jobs
       WHERE id = ? AND action = 'capture' AND result = 'done' AND data ->> 'folder' IS NOT NULL
       ON CONFLICT (folder) DO UPDATE SET job = excluded.job, pruned_at = NULL`,
    )
    .run(at, job);
}
