import assert from "node:assert/strict";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { inspect } from "../../src/daemon/inspect.ts";
import { connectQmp } from "../../src/qmp/connection.ts";
import { Journal } from "../../src/response/journal.ts";
import { restore } from "../../src/response/restore.ts";
import { setLinks } from "../../src/response/isolate.ts";
import { saveCleanState } from "../../src/response/save-clean.ts";
import { openVm } from "../../src/vm/guest-vm.ts";
import type { TestHome } from "../vm/golden-image.ts";
import { faultKinds, mustHold, randomOf, runFaulty } from "../vm/harness/fault-run.ts";
import { Lab } from "../vm/lab.ts";

const NAME = "faulty";
/** KVMSEC_FAULTS=FIRST-LAST runs a part of the 200. */
const [FIRST = 1, LAST = 200] = (process.env["KVMSEC_FAULTS"] ?? "")
  .split("-")
  .map(Number)
  .filter(Boolean);
let lab: Lab;
let home: TestHome;
let names = 0;

const commands: readonly (() => readonly string[])[] = [
  () => ["respond", NAME, "freeze"],
  () => ["respond", NAME, "isolate"],
  () => ["capture", NAME, "-o", join(home.root, "evidence", `case-${names++}`)],
  () => ["respond", NAME, "save-clean"],
  () => ["respond", NAME, "restore", "--no-evidence"],
  () => ["respond", NAME, "restore", "--evidence", join(home.root, "evidence", `case-${names++}`)],
  () => ["snapshot", "create", NAME, `shot-${names++}`],
  () => ["snapshot", "restore", NAME, "first"],
];

before(async () => {
  lab = await Lab.boot(NAME, { memoryBytes: 256 * 2 ** 20, ram: "file" });
  home = lab.home;
  await saveCleanState(home, NAME, inspect);
  const fault = { kind: "kill", point: 1_000_000, command: ["snapshot", "create", NAME, "first"] };
  assert.equal(await runFaulty(home, { ...fault, kind: "kill" }, 0), "0");
});

after(() => lab[Symbol.asyncDispose]());

/** A guest that runs and has its network, from which each fault begins. */
async function ready(): Promise<number> {
  if (openVm(NAME, home).run === undefined) await restore(home, NAME, { inspect, evidence: false });
  const { run, sockets } = openVm(NAME, home);
  assert.ok(run !== undefined);
  using monitor = await connectQmp(sockets.operator);
  const { running } = await monitor.execute("query-status");
  if (!running) await monitor.execute("cont");
  await setLinks(monitor, true);
  return run.pid;
}

for (let seed = FIRST; seed <= LAST; seed++) {
  const random = randomOf(seed);
  const pick = <Value>(values: readonly Value[]): Value =>
    values[Math.floor(random() * values.length)]!;
  const kind = pick(faultKinds);
  const which = Math.floor(random() * commands.length);
  const point = 1 + Math.floor(random() * (which < 2 ? 3 : 9));

  test(`seed ${seed}: ${kind} at point ${point} of command ${which}`, async () => {
    const pid = await ready();
    const entries = new Journal(home).read().map(({ hash }) => hash);
    const command = commands[which]!();
    const ended = await runFaulty(home, { kind, point, command }, pid);
    const victim = {
      home,
      pid: () => openVm(NAME, home).run?.pid,
      monitor: () => openVm(NAME, home).sockets.operator,
    };
    const state = await mustHold(victim, entries);
    // Only QEMU's own death takes the guest away, or a restoration that was cut short by it.
    if (kind !== "qemu") assert.notEqual(state, "gone", `${command.join(" ")}: ${ended}`);
    for (const name of existsSync(join(home.root, "evidence")) ? [`case-${names - 1}`] : []) {
      rmSync(join(home.root, "evidence", name), { recursive: true, force: true });
    }
  });
}
