import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import fc from "fast-check";
import type { GuardEvent } from "../../../src/events/event.ts";
import { EventLog, eventLogPath } from "../../../src/events/event-log.ts";
import { segmentPath } from "../../../src/events/log-files.ts";
import { readLogTail } from "../../../src/events/log-tail.ts";
import { readLog, UNREAD } from "../../../src/events/log-reader.ts";

function logWith(t: TestContext, count: number): string {
  const root = mkdtempSync(join(tmpdir(), "kvmsec-events-"));
  t.after(() => rmSync(root, { recursive: true }));
  const path = eventLogPath(root);
  using log = EventLog.open(path);
  for (let n = 0; n < count; n++) log.append({ kind: "alert", guest: "g", data: { n, text: "é" } });
  return path;
}

test("what was appended is read, also behind an earlier reading", (t) => {
  const path = logWith(t, 3);
  const first = readLog(path);
  assert.deepEqual([first.events, first.fault, first.torn], [3, undefined, 0]);
  using log = EventLog.open(path);
  const told: GuardEvent[] = [];
  log.on((event) => told.push(event));
  log.append({ kind: "decision", guest: null, data: {} });
  const seen: GuardEvent[] = [];
  assert.equal(readLog(path, (event) => seen.push(event), first).events, 4);
  assert.deepEqual(seen, told);
  assert.equal(seen[0]?.previous, first.last?.hash);
});

test("who listens is told what a reader of the log is", (t) => {
  const path = logWith(t, 1);
  using log = EventLog.open(path);
  const heard: GuardEvent[] = [];
  log.on((event) => heard.push(event));
  const data = { at: new Date(0), left: undefined, list: [undefined, Number.NaN] };
  const returned = log.append({ kind: "finding", guest: "web", data });
  const read: GuardEvent[] = [];
  readLog(path, (event) => read.push(event));
  assert.deepEqual(heard, read.slice(1));
  assert.deepEqual(returned, read[1]);
  assert.deepEqual(returned.data, { at: "1970-01-01T00:00:00.000Z", list: [null, null] });
});

test("a changed byte anywhere is named by its line", (t) => {
  const path = logWith(t, 5);
  const good = readFileSync(path);
  fc.assert(
    fc.property(fc.nat(good.length - 2), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const bad = Buffer.from(good);
      bad[at] = bad[at]! ^ change;
      writeFileSync(path, bad);
      const line = good.subarray(0, at).filter((byte) => byte === 10).length + 1;
      assert.equal(readLog(path).fault?.line, line);
    }),
  );
});

test("a line left out is named by the one behind it", (t) => {
  const path = logWith(t, 4);
  const lines = readFileSync(path, "utf8").split("\n");
  writeFileSync(path, lines.toSpliced(1, 1).join("\n"));
  assert.deepEqual(readLog(path).fault, {
    file: "events.jsonl",
    line: 2,
    reason: "the one before it was changed or left out",
  });
});

test("a torn last line is cut off at every byte, recorded, and the chain goes on", (t) => {
  const path = logWith(t, 2);
  const whole = readFileSync(path);
  const start = whole.indexOf(10) + 1;
  for (let length = start + 1; length < whole.length; length += 7) {
    writeFileSync(path, whole.subarray(0, length));
    const kept: GuardEvent[] = [];
    using log = EventLog.open(path, (event) => kept.push(event));
    log.append({ kind: "alert", guest: null, data: {} });
    assert.equal(kept.length, 1);
    const kinds: string[] = [];
    const end = readLog(path, ({ kind }) => kinds.push(kind));
    assert.deepEqual([end.fault, end.torn, kinds], [undefined, 0, ["alert", "log-torn", "alert"]]);
  }
});

test("a damaged log is put aside as it is, and a new one begins with that", (t) => {
  const path = logWith(t, 3);
  appendFileSync(path, "nonsense\n");
  const before = readFileSync(path);
  const kept: GuardEvent[] = [];
  using log = EventLog.open(path, (event) => kept.push(event));
  assert.equal(kept.length, 3);
  const aside = readdirSync(dirname(path)).find((name) => name.includes("damaged"));
  assert.deepEqual(readFileSync(join(dirname(path), aside!)), before);
  const seen: GuardEvent[] = [];
  readLog(log.path, (event) => seen.push(event));
  assert.deepEqual([seen[0]?.kind, seen[0]?.data["line"]], ["log-damaged", 4]);
});

const SMALL = 2000;

function append(path: string, count: number): GuardEvent[] {
  const told: GuardEvent[] = [];
  using log = EventLog.open(path, undefined, SMALL);
  log.on((event) => told.push(event));
  for (let n = 0; n < count; n++) log.append({ kind: "alert", guest: "g", data: { n } });
  return told;
}

const filesOf = (path: string) =>
  readdirSync(dirname(path))
    .toSorted()
    .map((name) => join(dirname(path), name));

test("a log that is cut, written to or removed under its writer's hands begins anew with that", (t) => {
  const changes: readonly ((path: string) => void)[] = [
    (path) => truncateSync(path, 0),
    (path) => truncateSync(path, readFileSync(path).indexOf(10) + 1),
    (path) => appendFileSync(path, "{}\n"),
    (path) => rmSync(path),
  ];
  for (const change of changes) {
    const path = logWith(t, 3);
    using log = EventLog.open(path);
    log.append({ kind: "alert", guest: null, data: {} });
    change(path);
    log.append({ kind: "decision", guest: null, data: {} });
    const kinds: string[] = [];
    const end = readLog(path, ({ kind }) => kinds.push(kind));
    assert.deepEqual([end.fault, kinds], [undefined, ["log-damaged", "decision"]]);
  }
});

test("a log that is full goes on in another file, and the chain holds over all of them", (t) => {
  const path = logWith(t, 0);
  const told = [...append(path, 20), ...append(path, 20)];
  const files = filesOf(path);
  assert.ok(files.length > 3, files.join(" "));
  for (const file of files) assert.ok(readFileSync(file).length <= SMALL);
  const seen: GuardEvent[] = [];
  const { fault, events } = readLog(path, (event) => seen.push(event));
  assert.deepEqual([fault, events], [undefined, 40]);
  assert.deepEqual(seen, told);
});

test("a reader that follows misses nothing and reads nothing twice, wherever the log is rotated", (t) => {
  const path = logWith(t, 0);
  const seen: number[] = [];
  let end = UNREAD;
  using log = EventLog.open(path, undefined, SMALL);
  for (let n = 1; n <= 60; n++) {
    log.append({ kind: "alert", guest: null, data: { n } });
    if (n % 7 === 0 || n % 11 === 0) end = readLog(path, (event) => seen.push(event.sequence), end);
    assert.equal(end.fault, undefined);
  }
  readLog(path, (event) => seen.push(event.sequence), end);
  assert.deepEqual(
    seen,
    Array.from({ length: 60 }, (_, index) => index + 1),
  );
});

test("a changed byte in any file of the log is named by its file and line; a missing file too", (t) => {
  const path = logWith(t, 0);
  append(path, 30);
  const files = filesOf(path);
  for (const file of files) {
    const good = readFileSync(file);
    const bad = Buffer.from(good);
    const at = good.indexOf(10) + 20;
    bad[at] = bad[at]! ^ 1;
    writeFileSync(file, bad);
    const { fault } = readLog(path);
    assert.deepEqual([fault?.file, fault?.line], [file.slice(dirname(path).length + 1), 2]);
    writeFileSync(file, good);
  }
  rmSync(files[1]!);
  assert.match(String(readLog(path).fault?.reason), /left out/);
});

test("the tail of a log is what its last bytes hold, over its files, without what was changed", (t) => {
  const root = mkdtempSync(join(tmpdir(), "kvmsec-events-"));
  t.after(() => rmSync(root, { recursive: true }));
  const path = eventLogPath(root);
  {
    using log = EventLog.open(path, undefined, 2000);
    for (let n = 1; n <= 40; n++) log.append({ kind: "alert", guest: "g", data: { n } });
  }
  const numbers = (bytes: number) =>
    readLogTail(path, bytes).events.map(({ sequence }) => sequence);
  const all = Array.from({ length: 40 }, (_, n) => n + 1);
  assert.deepEqual([numbers(1e6), readLogTail(path, 1e6).whole], [all, true]);
  let before = 0;
  for (let bytes = 0; bytes < 6000; bytes += 97) {
    const some = numbers(bytes);
    assert.ok(some.length >= before && some.length <= bytes / 200, `${bytes}`);
    before = some.length;
    assert.deepEqual(some, all.slice(all.length - some.length), `${bytes}`);
    assert.equal(readLogTail(path, bytes).whole, false);
  }
  assert.ok(before > 10, "events of more than one file");
  writeFileSync(path, readFileSync(path, "utf8").replace('"n":40', '"n":41'));
  assert.deepEqual(numbers(1e6), all.slice(0, -1));
});

test("a crash in the middle of a rotation loses nothing", (t) => {
  const path = logWith(t, 0);
  append(path, 3);
  // What renameSync left when the process died right behind it.
  renameSync(path, segmentPath(path, 1));
  const [event] = append(path, 1);
  assert.equal(event?.sequence, 4);
  assert.deepEqual([readLog(path).events, readLog(path).fault], [4, undefined]);
});
