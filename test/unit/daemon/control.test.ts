import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { KvmsecError } from "../../../src/base/errors.ts";
import { askGuard, recordByHand } from "../../../src/daemon/control-client.ts";
import type { HandRecord } from "../../../src/daemon/control-request.ts";
import { ControlServer } from "../../../src/daemon/control-server.ts";
import type { ControlHandler } from "../../../src/daemon/control-server.ts";
import { EventLog, eventLogPath } from "../../../src/events/event-log.ts";
import { readLog } from "../../../src/events/log-reader.ts";
import { openHome } from "../../../src/vm/home.ts";
import type { Home } from "../../../src/vm/home.ts";

/** A home so deep that its socket does not fit sockaddr_un. */
function deepHome(t: TestContext) {
  const root = mkdtempSync(join(tmpdir(), "kvmsec-control-"));
  t.after(() => rmSync(root, { recursive: true }));
  const deep = join(root, "x".repeat(120));
  mkdirSync(deep);
  return openHome({ KVMSEC_HOME: deep });
}

function serve(t: TestContext, home: Home, handle: ControlHandler): void {
  const server = new ControlServer(home.root, handle, assert.fail);
  t.after(() => server[Symbol.dispose]());
}

/** What the socket of the working folder answers to a text. */
function say(text: string): Promise<string> {
  return new Promise((resolve) => {
    let heard = "";
    const client = connect("/proc/self/cwd/guard.sock");
    client.setEncoding("utf8").on("data", (piece: string) => (heard += piece));
    client.on("error", () => {}).on("close", () => resolve(heard));
    client.write(text);
  });
}

const record: HandRecord = {
  kind: "finding-acknowledged",
  guest: "web",
  data: { run: "r", id: "idt-1", by: "ops", note: "ours" },
};

test("the guard answers, and refuses with its own code what it cannot do", async (t) => {
  const home = deepHome(t);
  const asked: unknown[] = [];
  serve(t, home, (request) => {
    asked.push(request);
    if (request.ask === "status") return { pid: 1 };
    throw new KvmsecError("KVMSEC_NO", "not now");
  });
  assert.deepEqual(await askGuard(home, { ask: "status" }), { pid: 1 });
  await assert.rejects(recordByHand(home, record), { code: "KVMSEC_NO", message: "not now" });
  assert.deepEqual(asked, [{ ask: "status" }, { ask: "record", record }]);
});

test("nonsense, too much of it, and clients that leave do no harm", async (t) => {
  const home = deepHome(t);
  serve(t, home, () => ({ fine: true }));
  const before = process.cwd();
  process.chdir(home.root);
  t.after(() => process.chdir(before));
  for (const text of ["{}\n", "nonsense\n", '{"ask":"fly"}\n', '{"ask":"status","more":1}\n']) {
    assert.match(await say(text), /KVMSEC_REQUEST_INVALID/);
  }
  assert.equal(await say("x".repeat(2 << 20)), "");
  connect("/proc/self/cwd/guard.sock").destroy();
  assert.deepEqual(await askGuard(home, { ask: "status" }), { fine: true });
});

test("without a guard it is put on record all the same, in the same chain", async (t) => {
  const home = deepHome(t);
  {
    using log = EventLog.open(eventLogPath(home.root));
    log.append({ kind: "daemon-stopped", guest: null, data: {} });
  }
  assert.equal(await askGuard(home, { ask: "status" }), undefined);
  await recordByHand(home, record);
  const seen: unknown[] = [];
  const end = readLog(eventLogPath(home.root), ({ kind, data }) => seen.push([kind, data]));
  assert.equal(end.fault, undefined);
  assert.deepEqual(seen.at(-1), [record.kind, record.data]);
});
