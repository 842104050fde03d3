import assert from "node:assert/strict";
import { test } from "node:test";
import { configSchema } from "../../../src/daemon/config.ts";
import { judge } from "../../../src/daemon/liveness.ts";
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
