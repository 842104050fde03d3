import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { controlGuest, lockGuest } from "../../src/response/guest-control.ts";
import { Journal } from "../../src/response/journal.ts";
import { openHome } from "../../src/vm/home.ts";
import { processIdentity } from "../../src/vm/process-identity.ts";
import { kvmsec, refusal } from "./command-line.ts";
import { kernel as debianKernel } from "./harness/debian-kernel.ts";
import { mustHold, runFaulty } from "./harness/fault-run.ts";
import type { FaultKind } from "./harness/fault-run.ts";
import { bootTiny } from "./harness/guest.ts";

/** Of the many points of the slow suite those that differ most; the last one ends the guest. */
const points: readonly (readonly [FaultKind, number, "freeze" | "isolate" | "capture"])[] = [
  ["kill", 2, "freeze"],
  ["torn", 2, "freeze"],
  ["full", 2, "isolate"],
  ["clock", 1, "isolate"],
  ["kill", 3, "capture"],
  ["torn", 3, "capture"],
  ["full", 4, "capture"],
  ["stall", 2, "capture"],
  ["qemu", 2, "capture"],
];

test("whatever breaks in the middle of a reaction, the record holds and nothing is left half-done", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "kvmsec-faults-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const home = openHome({ KVMSEC_HOME: root });
  const kernel = await debianKernel({ release: "bookworm", flavour: "cloud" });
  await using guest = await bootTiny({ kernel, cpus: 1, ram: "file", memory: "256M" });
  const { pid } = guest;
  const victim = { home, pid: () => processIdentity(pid)?.pid, monitor: () => guest.qmpPath };
  await t.test(
    "of two operators the second waits, and is refused while the first does not end",
    async () => {
      const target = `pid:${pid}`;
      const [one, two] = await Promise.all([
        kvmsec(root, "respond", target, "freeze"),
        kvmsec(root, "respond", target, "resume"),
      ]);
      assert.deepEqual([one.status, two.status], [0, 0], `${one.stderr}${two.stderr}`);
      // One after the other, each whole: no entry of one job stands between those of the other.
      const jobs = new Journal(home).read().map(({ job }) => job);
      assert.deepEqual(
        jobs.map((job, index) => job === jobs[index - 1]).filter((same) => !same).length,
        2,
      );
      const controlled = controlGuest(home, target);
      using held = await lockGuest(home, controlled, "a test that does not end");
      assert.ok(held !== undefined);
      const refused = await kvmsec(root, "respond", target, "freeze");
      assert.equal(refusal(refused), "3 KVMSEC_GUEST_BUSY");
      assert.match(refused.stderr, /a test that does not end/);
      await guest.qmp("cont");
    },
  );
  for (const [kind, point, action] of points) {
    await t.test(`${kind} at point ${point} of ${action}`, async () => {
      const before = new Journal(home).read().map(({ hash }) => hash);
      const folder = join(root, "evidence", `${kind}-${point}`);
      const command =
        action === "capture"
          ? ["capture", `pid:${pid}`, "-o", folder]
          : ["respond", `pid:${pid}`, action];
      const ended = await runFaulty(home, { kind, point, command }, pid);
      if (["kill", "torn"].includes(kind)) assert.match(ended, /SIGKILL/);
      const state = await mustHold(victim, before);
      if (kind === "qemu") assert.equal(state, "gone");
      else if (action === "capture") assert.equal(state, "running");
      if (kind !== "qemu") await guest.qmp("cont");
    });
  }
});
