import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { configSchema } from "../../../src/daemon/config.ts";
import { loadConfig, readConfig } from "../../../src/daemon/load-config.ts";
import { LiveConfig } from "../../../src/daemon/live-config.ts";
import { scheduleOf, waitAfter } from "../../../src/daemon/schedule.ts";
import { jsonSchemaOf, loadYaml } from "../../../src/policy/load.ts";

const read = (text: string) => loadYaml(configSchema, text, "test.yaml");

test("without a file the guard observes and alerts", () => {
  const { profile, rules, approval, interval } = loadConfig();
  assert.equal(profile, "observe");
  assert.deepEqual(rules, []);
  assert.deepEqual(approval, ["repair", "kill-process", "restore", "restart", "shutdown"]);
  assert.equal(interval, 30_000);
});

test("a file is read, its durations as milliseconds", () => {
  const folder = mkdtempSync(join(tmpdir(), "kvmsec-config-"));
  try {
    const path = join(folder, "guard.yaml");
    writeFileSync(
      path,
      "profile: strict\ninterval: 2m\nrules:\n- name: mine\n  when: {repeated: {times: 3, within: 1h}}\n  do: [isolate]\nliveness:\n- {name: sshd, exe: /usr/sbin/sshd, max: 4}\n",
    );
    const config = loadConfig(path);
    assert.equal(config.interval, 120_000);
    assert.equal(config.rules[0]?.when.repeated?.within, 3_600_000);
    assert.deepEqual([config.liveness[0]?.min, config.liveness[0]?.max], [1, 4]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("every place that does not fit is named", () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ["profil: strict", /profil/],
    ["interval: soon", /interval: write a duration/],
    ["rules: [{name: a, do: [explode]}]", /rules\.0\.do\.0/],
    ["rules: [{name: A B, do: [freeze]}]", /rules\.0\.name/],
    ["liveness: [{name: a}]", /names no process/],
    ["liveness: [{name: a, comm: b, min: 2, max: 1}]", /min is above max/],
    ["maintenance: [{from: '2026-01-02T00:00:00Z', until: '2026-01-01T00:00:00Z'}]", /ends before/],
    ["allow: [{name: a, reason: b}]", /one of finding, kernel and module/],
    ["allow: [{name: a, reason: b, finding: c, check: idt}]", /check goes with/],
    [
      "allow: [{name: a, reason: b, module: {name: c, buildId: '00112233445566778899'}}]",
      /check goes/,
    ],
    ["allow: [{name: a, finding: c}]", /allow\.0\.reason/],
    ["budget: 2", /budget/],
    ["maintenance: [{days: [someday], at: '25:00', for: 2h}]", /maintenance\.0/],
    ["[1, 2", /Flow sequence/i],
    ["- a", /expected object/],
  ];
  for (const [text, says] of wrong) {
    assert.throws(() => read(text), { code: "KVMSEC_CONFIG_INVALID", exit: 2, message: says });
  }
});

test("a text that unfolds without end is refused", () => {
  const lines = ["a: &a [x, x, x, x, x, x, x, x, x]"];
  for (let i = 0; i < 9; i++) {
    const [was, is] = [String.fromCharCode(97 + i), String.fromCharCode(98 + i)];
    lines.push(`${is}: &${is} [${Array(9).fill(`*${was}`).join(", ")}]`);
  }
  assert.throws(() => read(lines.join("\n")), { code: "KVMSEC_CONFIG_INVALID" });
});

test("the JSON Schema describes what is written, not what is read", () => {
  const schema = jsonSchemaOf(configSchema) as {
    properties: Record<string, { type?: string }>;
    additionalProperties: boolean;
    required?: string[];
  };
  assert.equal(schema.properties["interval"]?.type, "string");
  assert.equal(schema.additionalProperties, false);
  assert.equal(schema.required, undefined);
});

function folderOf(t: TestContext, files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "kvmsec-config-"));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, "guard.yaml.d"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return join(folder, "guard.yaml");
}

test("files of the .d folder are joined by name: lists end to end, the last word counts", (t) => {
  const path = folderOf(t, {
    "guard.yaml": "interval: 1m\ntargets: [a]\nlimit: {actions: 3, within: 1h}\n",
    "guard.yaml.d/20-b.yaml": "interval: 3m\ntargets: [c]\n",
    "guard.yaml.d/10-a.yml": "interval: 2m\ntargets: [b]\nlimit: {actions: 9, within: 1h}\n",
    "guard.yaml.d/.hidden.yaml": "interval: 9m\n",
    "guard.yaml.d/README": "no yaml: [",
  });
  const { config, files } = readConfig(path);
  assert.deepEqual(config.targets, ["a", "b", "c"]);
  assert.deepEqual([config.interval, config.limit.actions], [180_000, 9]);
  assert.deepEqual(
    files.map((file) => file.slice(path.length)),
    ["", ".d/10-a.yml", ".d/20-b.yaml"],
  );
});

test("a mistake in one of several files is told with that file", (t) => {
  const path = folderOf(t, { "guard.yaml": "", "guard.yaml.d/x.yaml": "intervall: 1m" });
  assert.throws(() => readConfig(path), {
    code: "KVMSEC_CONFIG_INVALID",
    message: /x\.yaml.*intervall/,
  });
});

test("a configuration that was named and is not there is an error; the usual one may be missing", (t) => {
  assert.throws(() => readConfig("/nonexistent/guard.yaml"), { code: "KVMSEC_CONFIG_UNREADABLE" });
  const before = process.env["KVMSEC_CONFIG"];
  process.env["KVMSEC_CONFIG"] = "/nonexistent/guard.yaml";
  t.after(() => {
    if (before === undefined) delete process.env["KVMSEC_CONFIG"];
    else process.env["KVMSEC_CONFIG"] = before;
  });
  assert.deepEqual(readConfig().files, []);
});

test("a reload takes what is valid, says what changed, and keeps the old one where it is broken", (t) => {
  const path = folderOf(t, { "guard.yaml": "interval: 1m\n" });
  const live = new LiveConfig(() => readConfig(path));
  const first = live.facts()["sha256"];
  writeFileSync(path, "interval: 2m\nprofile: strict\n");
  assert.equal(live.now.interval, 60_000);
  const taken = live.reload();
  assert.ok(taken.ok);
  assert.deepEqual(taken.facts["changed"], ["profile", "interval"]);
  assert.notEqual(taken.facts["sha256"], first);
  for (const broken of ["interval: [", "interval: soon\n"]) {
    writeFileSync(path, broken);
    const refused = live.reload();
    assert.equal(!refused.ok && refused.error.code, "KVMSEC_CONFIG_INVALID");
    assert.equal(live.now.interval, 120_000);
  }
});

test("a guest has the schedule of the first entry that names it, and waits longer after a costly look", () => {
  const config = read(
    "interval: 10s\nbudget: 0.1\nschedules:\n- {guests: ['web-*'], interval: 1s, jitter: 0}\n- {guests: ['*'], budget: 0.5}\n",
  );
  const web = scheduleOf(config, "web-1");
  assert.deepEqual([web.interval, web.budget, web.jitter], [1000, 0.1, 0]);
  assert.deepEqual(
    [scheduleOf(config, "db").interval, scheduleOf(config, "db").budget],
    [10_000, 0.5],
  );
  assert.equal(waitAfter(web, 10), 1000);
  // 500 ms of work at a tenth of a processor: done for 5 s.
  assert.equal(waitAfter(web, 500), 4500);
});
