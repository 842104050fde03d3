import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { runDaemon } from "../../../src/daemon/daemon.ts";
import { readConfig } from "../../../src/daemon/load-config.ts";
import type { GuardEvent } from "../../../src/events/event.ts";
import { eventLogPath } from "../../../src/events/event-log.ts";
import { openHome } from "../../../src/vm/home.ts";
import { kvmsec } from "../../vm/command-line.ts";

test("a log that was cut at its end is told by --verify, and by the guard when it starts", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "kvmsec-cut-"));
  t.after(() => rmSync(root, { recursive: true }));
  const config = join(root, "guard.yaml");
  writeFileSync(config, "targets: []\n");
  const troubles: string[] = [];
  const guard = async (): Promise<GuardEvent[]> => {
    const events: GuardEvent[] = [];
    await runDaemon({
      home: openHome({ KVMSEC_HOME: root }),
      load: () => readConfig(config),
      once: true,
      signal: new AbortController().signal,
      onEvent: (event) => events.push(event),
      onTrouble: (text) => troubles.push(text),
    });
    return events;
  };
  const path = eventLogPath(root);
  const last = (await guard()).at(-1);
  assert.equal((await kvmsec(root, "events", "--verify")).status, 0);
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.slice(0, text.indexOf("\n") + 1));
  const told = await kvmsec(root, "events", "--verify", "--json");
  assert.equal(told.status, 1);
  const cut = { events: 2, hash: last?.hash, found: 1 };
  assert.deepEqual(JSON.parse(told.stdout).cut, cut);
  assert.match((await kvmsec(root, "events", "--verify")).stdout, /cut off or exchanged/);
  const again = await guard();
  assert.deepEqual(
    again.map(({ kind }) => kind),
    ["daemon-started", "log-cut", "daemon-stopped"],
  );
  assert.deepEqual(again[1]?.data, cut);
  assert.match(troubles.join("\n"), /the event log was cut/);
  assert.equal((await kvmsec(root, "events", "--verify")).status, 0);
});
