import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import type { EventKind, GuardEvent } from "../events/event.ts";

type Data = Readonly<Record<string, unknown>>;
type Take = (put: Put, event: GuardEvent, data: Data) => void;
/** Runs one statement; what is no value of SQLite is stored as JSON. */
type Put = (sql: string, ...values: readonly unknown[]) => void;

/** Puts an event into the tables. What an event of a kind lacks becomes NULL or nothing at all. */
export function takeEvent(database: DatabaseSync, event: GuardEvent): void {
  const put: Put = (sql, ...values) => void database.prepare(sql).run(...values.map(storable));
  takers[event.kind]?.(put, event, event.data);
}

const takers: Partial<Record<EventKind, Take>> = {
  "guest-found": (put, { at, guest }, { run, pid }) =>
    put(
      `INSERT INTO guests (run, name, pid, found_at) VALUES (?, ?, ?, ?)
       ON CONFLICT (run) DO UPDATE SET ended_at = NULL, ordered = NULL, how = NULL`,
      text(run),
      guest ?? "",
      pid,
      at,
    ),
  "guest-ended": (put, { at }, { run, ordered, how }) =>
    put(
      "UPDATE guests SET ended_at = ?, ordered = ?, how = ? WHERE run = ?",
      at,
      typeof ordered === "boolean" ? Number(ordered) : null,
      how,
      run,
    ),
  watching: (put, _, { run, kernel }) =>
    put("UPDATE guests SET kernel = ? WHERE run = ?", kernel, run),
  sweeps: (put, { at }, { run, since, sweeps, failed, cpuMs, longestMs }) =>
    put(
      "INSERT OR REPLACE INTO sweeps VALUES (?, ?, ?, ?, ?, ?, ?)",
      text(run),
      text(since),
      at,
      whole(sweeps),
      whole(failed),
      real(cpuMs),
      real(longestMs),
    ),
  finding: takeFinding,
  "finding-acknowledged": (put, { sequence, at }, { run, id, by, note }) => {
    put(
      `UPDATE findings SET state = 'acknowledged', changed_at = ?
       WHERE run = ? AND id = ? AND state <> 'resolved'`,
      at,
      run,
      id,
    );
    put(
      "INSERT OR REPLACE INTO finding_life VALUES (?, ?, ?, ?, 'acknowledged', ?, ?)",
      text(run),
      text(id),
      sequence,
      at,
      by,
      note,
    );
  },
  decision: (put, { sequence, at, guest }, { run, rule, findings, reactions, held }) =>
    put(
      "INSERT OR REPLACE INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      sequence,
      at,
      guest ?? "",
      text(run),
      text(rule),
      findings ?? [],
      reactions ?? [],
      held ?? [],
    ),
  reaction: (put, { at, guest }, data) => {
    const { decision, reaction, state, folder } = data;
    put(
      "INSERT OR REPLACE INTO reactions VALUES (?, ?, ?, ?, ?)",
      whole(decision),
      text(reaction),
      text(state),
      at,
      data,
    );
    if (state !== "done" || typeof folder !== "string") return;
    const job = (data["outcome"] as Data | undefined)?.["job"];
    put(
      `INSERT INTO evidence (folder, kind, guest, made_at, job, decision) VALUES (?, 'capture', ?, ?, ?, ?)
       ON CONFLICT (folder) DO UPDATE SET guest = excluded.guest, decision = excluded.decision`,
      folder,
      guest,
      at,
      job,
      decision,
    );
  },
  "evidence-kept": (put, { at, guest }, { folder }) =>
    put(
      "INSERT OR IGNORE INTO evidence (folder, kind, guest, made_at) VALUES (?, 'end', ?, ?)",
      text(folder),
      guest,
      at,
    ),
  "evidence-pruned": (put, { at }, { folder, why }) =>
    put("UPDATE evidence SET pruned_at = ?, pruned_why = ? WHERE folder = ?", at, why, folder),
};

/** What a finding is after such an event, unless somebody has acknowledged it. */
const states: Readonly<Record<string, string>> = {
  new: "new",
  persisting: "persisting",
  reopened: "reopened",
  resolved: "resolved",
};

function takeFinding(put: Put, { sequence, at, guest }: GuardEvent, data: Data): void {
  const { run, event, finding } = data;
  const state = states[text(event)];
  if (state === undefined || typeof finding !== "object" || finding === null) return;
  const { id, check, severity, confidence, title } = finding as Data;
  const reopened = Number(event === "reopened");
  put(
    `INSERT INTO findings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (run, id) DO UPDATE SET
       severity = excluded.severity, confidence = excluded.confidence, title = excluded.title,
       finding = excluded.finding, reopened = reopened + ${reopened},
       changed_at = excluded.changed_at,
       state = iif(excluded.state = 'persisting' AND state = 'acknowledged', state, excluded.state)`,
    text(run),
    text(id),
    guest ?? "",
    text(check),
    text(severity),
    text(confidence),
    text(title),
    state,
    at,
    at,
    reopened,
    finding,
  );
  put(
    "INSERT OR REPLACE INTO finding_life VALUES (?, ?, ?, ?, ?, NULL, NULL)",
    text(run),
    text(id),
    sequence,
    at,
    state,
  );
}

function storable(value: unknown): SQLInputValue {
  if (value === undefined || value === null) return null;
  if (typeof value === "string" || typeof value === "number") return value;
  return JSON.stringify(value);
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const whole = (value: unknown): number => (Number.isSafeInteger(value) ? Number(value) : 0);
const real = (value: unknown): number => (typeof value === "number" ? value : 0);
