import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { runDaemon } from "../../../src/daemon/daemon.ts";
import { readConfig } from "../../../src/daemon/load-config.ts";
import { EventLog, eventLogPath } from "../../../src/events/event-log.ts";
import type { EventKind, GuardEvent } from "../../../src/events/event.ts";
import { sealPackage } from "../../../src/evidence/manifest.ts";
import { verifyPackage } from "../../../src/evidence/verify.ts";
import { openHome } from "../../../src/vm/home.ts";

test("the guard packs what it captured, once, and also what an earlier guard has left", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "kvmsec-pack-"));
  t.after(() => rmSync(root, { recursive: true }));
  const home = openHome({ KVMSEC_HOME: root });
  const former = process.env["KVMSEC_HOME"];
  process.env["KVMSEC_HOME"] = root;
  t.after(() => {
    if (former === undefined) delete process.env["KVMSEC_HOME"];
    else process.env["KVMSEC_HOME"] = former;
  });
  const folder = join(root, "evidence", "web-1");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "memory.elf"), Buffer.alloc(2 ** 20, 7));
  await sealPackage(home, folder, "id", { target: "web" });
  const run = "7-7-x";
  {
    using log = EventLog.open(eventLogPath(root));
    const said = (kind: EventKind, data: object): void =>
      void log.append({ kind, guest: "web", data: { run, ...data } });
    said("guest-found", { pid: 7 });
    said("decision", { rule: "r", findings: [], reactions: ["capture"], held: [] });
    said("reaction", { decision: 2, reaction: "capture", state: "done", folder });
    said("guest-ended", { ordered: true, how: "test" });
  }
  writeFileSync(join(root, "guard.yaml"), "targets: []\n");
  const over = new AbortController();
  const packed: GuardEvent[] = [];
  await runDaemon({
    home,
    load: () => readConfig(join(root, "guard.yaml")),
    once: false,
    signal: over.signal,
    onEvent: (event) => {
      if (event.kind !== "evidence-compressed") return;
      packed.push(event);
      over.abort();
    },
    onTrouble: assert.fail,
  });
  assert.deepEqual(
    packed.map(({ data }) => [data["folder"], data["files"]]),
    [[folder, 1]],
  );
  assert.ok(statSync(join(folder, "memory.elf.zst")).size < 1000);
  assert.deepEqual((await verifyPackage(folder)).faults, []);
});
