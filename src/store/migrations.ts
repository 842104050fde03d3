/** The tables of the store; see `DatabaseOptions`. */
export const migrations: readonly string[] = [
  `CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
   CREATE TABLE guests (
     run TEXT PRIMARY KEY, name TEXT NOT NULL, pid INTEGER, found_at TEXT NOT NULL,
     kernel TEXT, ended_at TEXT, ordered INTEGER, how TEXT) STRICT;
   CREATE TABLE sweeps (
     run TEXT NOT NULL, since TEXT NOT NULL, until TEXT NOT NULL, sweeps INTEGER NOT NULL,
     failed INTEGER NOT NULL, cpu_ms REAL NOT NULL, longest_ms REAL NOT NULL,
     PRIMARY KEY (run, since)) STRICT;
   CREATE TABLE findings (
     run TEXT NOT NULL, id TEXT NOT NULL, guest TEXT NOT NULL, check_id TEXT NOT NULL,
     severity TEXT NOT NULL, confidence TEXT NOT NULL, title TEXT NOT NULL, state TEXT NOT NULL,
     first_at TEXT NOT NULL, changed_at TEXT NOT NULL, reopened INTEGER NOT NULL DEFAULT 0,
     finding TEXT NOT NULL, PRIMARY KEY (run, id)) STRICT;
   CREATE TABLE finding_life (
     run TEXT NOT NULL, id TEXT NOT NULL, sequence INTEGER NOT NULL, at TEXT NOT NULL,
     event TEXT NOT NULL, by TEXT, note TEXT, PRIMARY KEY (run, id, sequence)) STRICT;
   CREATE TABLE decisions (
     number INTEGER PRIMARY KEY, at TEXT NOT NULL, guest TEXT NOT NULL, run TEXT NOT NULL,
     rule TEXT NOT NULL, findings TEXT NOT NULL, reactions TEXT NOT NULL, held TEXT NOT NULL) STRICT;
   CREATE TABLE reactions (
     decision INTEGER NOT NULL, reaction TEXT NOT NULL, state TEXT NOT NULL, at TEXT NOT NULL,
     data TEXT NOT NULL, PRIMARY KEY (decision, reaction)) STRICT;
   CREATE TABLE jobs (
     id TEXT PRIMARY KEY, action TEXT NOT NULL, target TEXT NOT NULL, begun_at TEXT NOT NULL,
     step TEXT, ended_at TEXT, result TEXT, data TEXT NOT NULL) STRICT;
   CREATE TABLE evidence (
     folder TEXT PRIMARY KEY, kind TEXT NOT NULL, guest TEXT, made_at TEXT NOT NULL, job TEXT,
     decision INTEGER, pruned_at TEXT, pruned_why TEXT) STRICT;
   CREATE INDEX findings_by_state ON findings (state, changed_at);
   CREATE INDEX decisions_by_run ON decisions (run);`,
];
