import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { EventLog, eventLogPath } from "../../../src/events/event-log.ts";
import type { EventContent, EventKind } from "../../../src/events/event.ts";
import { readLog } from "../../../src/events/log-reader.ts";
import { runJob } from "../../../src/response/job.ts";
import { lifeOf, listFindings } from "../../../src/store/findings.ts";
import { Store, storePath } from "../../../src/store/store.ts";
import { openHome } from "../../../src/vm/home.ts";
import type { Home } from "../../../src/vm/home.ts";
import { processIdentity } from "../../../src/vm/process-identity.ts";

function homeOf(t: TestContext): Home {
  const root = mkdtempSync(join(tmpdir(), "kvmsec-store-"));
  t.after(() => rmSync(root, { recursive: true }));
  return openHome({ KVMSEC_HOME: root });
}

function log(home: Home, ...contents: readonly EventContent[]): void {
  using events = EventLog.open(eventLogPath(home.root), undefined, 3000);
  for (const content of contents) events.append(content);
}

const said = (kind: EventKind, data: Readonly<Record<string, unknown>> = {}): EventContent => ({
  kind,
  guest: "web",
  data: { run: "r1", ...data },
});

const finding = (id: string, event: string): EventContent =>
  said("finding", {
    event,
    at: "2026-01-01T00:00:00.000Z",
    finding: { id, check: "idt", severity: "high", confidence: "high", title: `of ${id}` },
  });

const history: readonly EventContent[] = [
  said("guest-found", { pid: 7 }),
  said("watching", { kernel: "Linux version 6.1" }),
  finding("a", "new"),
  finding("b", "new"),
  finding("a", "persisting"),
  said("finding-acknowledged", { id: "a", by: "ops", note: "ours" }),
  finding("b", "resolved"),
  said("decision", { rule: "mine", findings: ["a"], reactions: ["freeze", "capture"], held: [] }),
  said("reaction", { decision: 8, reaction: "freeze", state: "begun" }),
  said("reaction", { decision: 8, reaction: "freeze", state: "done" }),
  said("reaction", { decision: 8, reaction: "capture", state: "done", folder: "/e/1" }),
  finding("b", "reopened"),
  said("sweeps", {
    since: "2026-01-01T00:00:00.000Z",
    sweeps: 9,
    failed: 1,
    cpuMs: 5,
    longestMs: 2,
  }),
];

const TABLES = ["guests", "sweeps", "findings", "finding_life", "decisions", "reactions", "jobs"];
const contents = (store: Store) => TABLES.map((table) => store.all(`SELECT * FROM ${table}`));

test("findings have their state and their life, decisions and evidence are known", (t) => {
  const home = homeOf(t);
  log(home, ...history);
  using store = Store.open(home);
  const states = listFindings(store, {}).map(({ id, state, reopened }) => [id, state, reopened]);
  assert.deepEqual(states.toSorted(), [
    ["a", "acknowledged", 0],
    ["b", "reopened", 1],
  ]);
  const life = lifeOf(store, { run: "r1", id: "a" });
  assert.deepEqual(
    life.map(({ event, by, note }) => [event, by, note]),
    [
      ["new", null, null],
      ["persisting", null, null],
      ["acknowledged", "ops", "ours"],
    ],
  );
  const reactions = store.all("SELECT reaction, state FROM reactions ORDER BY 1");
  assert.deepEqual(
    reactions.map((row) => Object.values(row)),
    [
      ["capture", "done"],
      ["freeze", "done"],
    ],
  );
  assert.equal(store.all("SELECT folder FROM evidence")[0]?.["folder"], "/e/1");
  assert.equal(store.all("SELECT kernel FROM guests")[0]?.["kernel"], "Linux version 6.1");
  assert.equal(store.all("SELECT sweeps FROM sweeps")[0]?.["sweeps"], 9);
});

test("an acknowledged finding that persists stays acknowledged; what ended acknowledged is hidden", (t) => {
  const home = homeOf(t);
  log(
    home,
    ...history,
    finding("a", "persisting"),
    said("guest-ended", { ordered: false, how: "x" }),
  );
  using store = Store.open(home);
  assert.deepEqual(
    listFindings(store, {}).map(({ id, ended }) => [id, ended]),
    [["b", true]],
  );
  assert.equal(listFindings(store, { id: "a", all: true })[0]?.state, "acknowledged");
});

test("it is the same whether it grew with the log, event by event, or is made anew from it", (t) => {
  const home = homeOf(t);
  const known = (() => {
    using grown = Store.open(home);
    for (const content of history) {
      log(home, content);
      grown.catchUp();
    }
    return contents(grown);
  })();
  assert.ok(known.flat().length > 8);
  rmSync(dirname(storePath(home)), { recursive: true });
  using anew = Store.open(home);
  assert.deepEqual(contents(anew), known);
});

test("a store that is no database, or damaged inside, is put aside and made anew", (t) => {
  const home = homeOf(t);
  log(home, ...history);
  const path = storePath(home);
  Store.open(home)[Symbol.dispose]();
  const good = readFileSync(path);
  const holed = Buffer.from(good);
  holed.fill(0xa5, 4096, 4096 * 3);
  for (const [count, bad] of [Buffer.from("no database at all ".repeat(99)), holed].entries()) {
    writeFileSync(path, bad);
    using store = Store.open(home);
    assert.equal(listFindings(store, {}).length, 2);
    const aside = readdirSync(dirname(path)).filter((name) => name.includes("damaged"));
    assert.ok(aside.length >= Math.min(count + 1, 1));
  }
});

test("another log in the place of the one that was read is taken instead of it", (t) => {
  const home = homeOf(t);
  log(home, ...history);
  Store.open(home)[Symbol.dispose]();
  renameSync(dirname(eventLogPath(home.root)), join(home.root, "aside"));
  log(home, said("guest-found"), finding("c", "new"));
  using store = Store.open(home);
  assert.deepEqual(
    listFindings(store, { all: true }).map(({ id }) => id),
    ["c"],
  );
});

/** What `Store` and `kvmsec events --verify` say of a log. */
const cutOf = (home: Home) => {
  using store = Store.open(home);
  return store.cut;
};

test("a log that is cut at its end, exchanged or removed is told until that is on record", (t) => {
  const home = homeOf(t);
  const path = eventLogPath(home.root);
  log(home, ...history);
  assert.equal(cutOf(home), undefined);
  const last = readLog(path).last?.hash;
  const lines = readFileSync(path, "utf8").split("\n");
  writeFileSync(
    path,
    lines
      .slice(0, 2)
      .map((line) => `${line}\n`)
      .join(""),
  );
  const { events, fault } = readLog(path);
  assert.deepEqual([events > 0, fault], [true, undefined], "by itself it is unbroken");
  const cut = { events: history.length, hash: last, found: events };
  assert.deepEqual(cutOf(home), cut);
  log(home, said("alert"));
  assert.deepEqual(cutOf(home), cut, "however often the store is opened, and whatever follows");
  log(home, { kind: "log-cut", guest: null, data: { ...cut } });
  assert.equal(cutOf(home), undefined);
  const { events: all, last: end } = readLog(path);
  rmSync(dirname(path), { recursive: true });
  assert.deepEqual(cutOf(home), { events: all, hash: end?.hash, found: 0 });
});

test("a log that was put aside as damaged is not called cut", (t) => {
  const home = homeOf(t);
  log(home, ...history);
  assert.equal(cutOf(home), undefined);
  const path = eventLogPath(home.root);
  writeFileSync(path, readFileSync(path, "utf8").replace("alert", "alarm").replace("r1", "r2"));
  log(home, said("guest-found"));
  assert.equal(cutOf(home), undefined);
});

test("a store of a newer kvmsec is refused, and stays as it is", (t) => {
  const home = homeOf(t);
  Store.open(home)[Symbol.dispose]();
  {
    using database = new DatabaseSync(storePath(home));
    database.exec("PRAGMA user_version = 999");
  }
  assert.throws(() => Store.open(home), { code: "KVMSEC_STORE_NEWER" });
});

test("jobs come from the journal of actions, a capture's package too", async (t) => {
  const home = homeOf(t);
  const identity = processIdentity(process.pid)!;
  const target = { text: "web", identity };
  const data = { folder: "/e/2", partial: "/e/2.partial" };
  await runJob(home, "capture", target, async (job) => job.step("look"), data);
  await assert.rejects(
    runJob(home, "freeze", target, () => Promise.reject(new Error("no monitor"))),
  );
  using store = Store.open(home);
  const jobs = store.all("SELECT action, target, step, result FROM jobs ORDER BY action");
  assert.deepEqual(
    jobs.map((row) => Object.values(row)),
    [
      ["capture", "web", "look", "done"],
      ["freeze", "web", null, "failed"],
    ],
  );
  assert.equal(store.all("SELECT folder FROM evidence")[0]?.["folder"], "/e/2");
});

test("events that lack what they should hold are no obstacle", (t) => {
  const home = homeOf(t);
  const kinds: EventKind[] = ["guest-found", "guest-ended", "watching", "sweeps", "finding"];
  kinds.push("finding-acknowledged", "decision", "reaction", "evidence-kept", "evidence-pruned");
  log(home, ...kinds.map((kind): EventContent => ({ kind, guest: null, data: {} })));
  log(
    home,
    ...kinds.map((kind): EventContent => ({ kind, guest: "g", data: { run: [1], finding: 7 } })),
  );
  using store = Store.open(home);
  assert.deepEqual(listFindings(store, { all: true }), []);
});
