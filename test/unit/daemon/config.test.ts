import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { configSchema, loadConfig } from "../../../src/daemon/config.ts";
import { jsonSchemaOf, loadYaml } from "../../../src/policy/load.ts";

const read = (text: string) => loadYaml(configSchema, text, "test.yaml");

test("without a file the guard observes and alerts", () => {
  const { profile, rules, approval, interval } = loadConfig();
  assert.equal(profile, "observe");
  assert.deepEqual(rules, []);
  assert.deepEqual(approval, ["restore", "restart", "shutdown"]);
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
