import assert from "node:assert/strict";
import {
  appendFileSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import fc from "fast-check";
import type { GuardEvent } from "../../../src/events/event.ts";
import { EventLog, eventLogPath } from "../../../src/events/event-log.ts";
import { readLog } from "../../../src/events/log-reader.ts";

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
