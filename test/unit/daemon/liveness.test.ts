import assert from "node:assert/strict";
import { test } from "node:test";
import { configSchema } from "../../../src/daemon/config.ts";
import { judge, LIVENESS } from "../../../src/daemon/liveness.ts";
import { StartupPatience } from "../../../src/daemon/startup-patience.ts";
import type { LiveProcess } from "../../../src/daemon/liveness.ts";

const rules = configSchema.parse({
  liveness: [{ name: "sshd", exe: "/usr/sbin/sshd", cmdline: "*listener*", max: 2 }],
}).liveness;
const sshd: LiveProcess = {
  comm: "sshd",
  exe: "/usr/sbin/sshd",
  cmdline: "sshd: /usr/sbin/sshd -D [listener]",
  state: "S",
};
const wrong = (processes: readonly LiveProcess[], whole = true) =>
  judge(rules, processes, whole).map(({ subject, evidence }) => [
    subject["wrong"],
    evidence["count"],
  ]);

test("as many as there must be are no finding, too few and too many are", () => {
  assert.deepEqual(wrong([sshd]), []);
  assert.deepEqual(wrong([sshd, sshd]), []);
  assert.deepEqual(wrong([]), [["too few", 0]]);
  assert.deepEqual(wrong([sshd, sshd, sshd]), [["too many", 3]]);
});

test("all that a rule names must fit; the dead and the stopped do not count", () => {
  const others = [
    { ...sshd, exe: "/tmp/sshd" },
    { ...sshd, cmdline: "sshd: root" },
    { ...sshd, cmdline: undefined },
    { ...sshd, state: "Z" },
    { ...sshd, state: "T" },
  ];
  for (const other of others) assert.deepEqual(wrong([other]), [["too few", 0]]);
});

test("a list with gaps proves no absence, but it proves what it shows", () => {
  assert.deepEqual(wrong([], false), []);
  assert.deepEqual(wrong([sshd, sshd, sshd], false), [["too many", 3]]);
});

test("after a boot what is not there yet is waited for; what was there is missed at once", (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: Date.now() });
  const patience = new StartupPatience({ startTime: 0 });
  const look = (processes: readonly LiveProcess[], reason?: string) => {
    const findings = judge(rules, processes, true);
    const result = {
      id: LIVENESS,
      status: findings.length > 0 ? ("fail" as const) : ("pass" as const),
      findings: findings.map(({ id }) => id),
      durationMs: 1,
      coverage: { looked: 1, of: 1 },
      reason,
    };
    const { checks, findings: left } = patience.take({ checks: [result], findings }, rules);
    return [checks[0]?.status, checks[0]?.findings.length, left.length];
  };
  const missed = ["fail", 1, 1];
  const waited = ["error", 0, 0];
  const well = ["pass", 0, 0];
  patience.rebooted();
  assert.deepEqual(look([]), waited);
  // Too many are never waited for, and a list with gaps shows nobody alive.
  assert.deepEqual(look([sshd, sshd, sshd]), missed);
  patience.rebooted();
  assert.deepEqual(look([sshd], "one could not be read"), well);
  assert.deepEqual(look([]), waited);
  assert.deepEqual(look([sshd]), well);
  assert.deepEqual(look([]), missed);
  patience.rebooted();
  assert.deepEqual(look([]), waited);
  t.mock.timers.tick(rules[0]!.startup);
  assert.deepEqual(look([]), missed);
});
