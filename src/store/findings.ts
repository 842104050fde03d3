import type { Finding } from "../checks/finding.ts";
import type { Row, Store } from "./store.ts";

/** What a finding is by now. */
export const findingStates = ["new", "persisting", "acknowledged", "resolved", "reopened"] as const;
export type FindingState = (typeof findingStates)[number];

/** A finding of one run of a guest, and what became of it. */
export type KeptFinding = {
  readonly id: string;
  readonly guest: string;
  /** Names the run of the guest that it was seen in. */
  readonly run: string;
  /** Whether that run is over. */
  readonly ended: boolean;
  readonly state: FindingState;
  readonly firstAt: string;
  readonly changedAt: string;
  /** How often it came back. */
  readonly reopened: number;
  readonly finding: Finding;
};

/** A step in the life of a finding. */
export type LifeStep = {
  readonly at: string;
  readonly event: FindingState;
  readonly by: string | null;
  readonly note: string | null;
};

export type FindingFilter = {
  readonly guest?: string | undefined;
  /** The finding's own id. */
  readonly id?: string | undefined;
  /** Also what was resolved, and what was acknowledged in a run that is over. */
  readonly all?: boolean | undefined;
};

const MAX_ROWS = 100_000;

/** Findings, the last changed first. */
export function listFindings(store: Store, { guest, id, all }: FindingFilter): KeptFinding[] {
  const rows = store.all(
    `SELECT f.*, g.ended_at FROM findings f LEFT JOIN guests g USING (run)
     WHERE (?1 IS NULL OR f.guest = ?1) AND (?2 IS NULL OR f.id = ?2)
       AND (?3 OR (f.state <> 'resolved' AND NOT (f.state = 'acknowledged' AND g.ended_at NOT NULL)))
     ORDER BY f.changed_at DESC, f.id LIMIT ${MAX_ROWS}`,
    guest ?? null,
    id ?? null,
    Number(all === true),
  );
  return rows.map(kept);
}

/** All that happened to one, the oldest first. */
export function lifeOf(store: Store, { run, id }: Pick<KeptFinding, "run" | "id">): LifeStep[] {
  return store
    .all(
      "SELECT at, event, by, note FROM finding_life WHERE run = ? AND id = ? ORDER BY sequence",
      run,
      id,
    )
    .map(({ at, event, by, note }) => ({
      at: String(at),
      event: stateOf(event),
      by: by === null ? null : String(by),
      note: note === null ? null : String(note),
    }));
}

function kept(row: Row): KeptFinding {
  return {
    id: String(row["id"]),
    guest: String(row["guest"]),
    run: String(row["run"]),
    ended: row["ended_at"] !== null,
    state: stateOf(row["state"]),
    firstAt: String(row["first_at"]),
    changedAt: String(row["changed_at"]),
    reopened: Number(row["reopened"]),
    finding: JSON.parse(String(row["finding"])) as Finding,
  };
}

function stateOf(value: unknown): FindingState {
  return findingStates.find((state) => state === value) ?? "new";
}
