import assert from "node:assert/strict";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "../../src/daemon/inspect.ts";
import type { GuardEvent } from "../../src/events/event.ts";
import { Journal } from "../../src/response/journal.ts";
import { restore } from "../../src/response/restore.ts";
import { saveCleanState } from "../../src/response/save-clean.ts";
import { openVm } from "../../src/vm/guest-vm.ts";
import type { TestHome } from "../vm/golden-image.ts";
import { hookOption, mustHold, randomOf } from "../vm/harness/fault-run.ts";
import { Guard, is } from "../vm/harness/guard.ts";
import { tamperSystemCall } from "../vm/harness/system-call-slot.ts";
import { Lab } from "../vm/lab.ts";

/** KVMSEC_FAULTS=FIRST-LAST runs a part of them. */
const [FIRST = 1, LAST = 60] = (process.env["KVMSEC_FAULTS"] ?? "")
  .split("-")
  .map(Number)
  .filter(Boolean);
const NAME = "victim";
const PATIENCE_MS = 600_000;
const plans = [
  ["freeze", "capture"],
  ["isolate", "capture"],
  ["capture", "restore"],
  ["freeze", "capture", "restore"],
  ["repair"],
  ["capture", "restart"],
] as const;
/** What goes wrong, and whose points are counted: the guard's own, or those of its worker. */
const faults = [
  ["kill", "main.ts"],
  ["torn", "main.ts"],
  ["full", "main.ts"],
  ["clock", "main.ts"],
  ["kill", "reaction-worker.ts"],
  ["parent", "reaction-worker.ts"],
  ["parent", "reaction-worker.ts"],
  ["torn", "reaction-worker.ts"],
  ["full", "reaction-worker.ts"],
  ["stall", "reaction-worker.ts"],
  ["qemu", "reaction-worker.ts"],
] as const;
let lab: Lab;
let home: TestHome;

before(async () => {
  lab = await Lab.boot(NAME, { memoryBytes: 256 * 2 ** 20, ram: "file" });
  home = lab.home;
  await saveCleanState(home, NAME, inspect);
});

after(() => lab[Symbol.asyncDispose]());

/** What a guard's log says from a number on. */
const since = (guard: Guard, number: number): GuardEvent[] =>
  guard.events().filter(({ sequence }) => sequence > number);

/** Nothing is left to be done of what was decided, or the run it was decided about is over. */
function isSettled(events: readonly GuardEvent[]): boolean {
  const decisions = events.filter(is("decision", { rule: "act" }));
  if (decisions.length === 0) return false;
  return decisions.every(({ sequence, data }) => {
    if (events.some(is("guest-ended", { run: data["run"] }))) return true;
    const states = events.filter(is("reaction", { decision: sequence }));
    return (data["reactions"] as string[]).every((reaction) =>
      states.some(({ data: told }) => told["reaction"] === reaction && told["state"] !== "begun"),
    );
  });
}

for (let seed = FIRST; seed <= LAST; seed++) {
  const random = randomOf(seed);
  const pick = <Value>(values: readonly Value[]): Value =>
    values[Math.floor(random() * values.length)]!;
  const plan = pick(plans);
  const [kind, where] = pick(faults);
  const point = 1 + Math.floor(random() * (where === "main.ts" ? 8 : 6));

  test(`seed ${seed}: ${kind} at point ${point} of ${where}, at ${plan.join(", ")}`, async () => {
    await restore(home, NAME, { inspect, evidence: false });
    const entries = new Journal(home).read().map(({ hash }) => hash);
    const struck = join(home.root, `struck-${seed}`);
    const lines = [
      "approval: []",
      "compress: none",
      "limit: {actions: 1000, within: 1h}",
      "rules:",
      `  - {name: act, when: {checks: [kernel-rodata], repeated: {times: 2, within: 10m}}, do: [${plan.join(", ")}]}`,
    ];
    const guard = new Guard(lines, home.root);
    const begin = existsSync(join(home.root, "events")) ? guard.last : 0;
    try {
      guard.start({
        NODE_OPTIONS: hookOption,
        KVMSEC_FAULT: `${kind}:${point}:${openVm(NAME, home).run!.pid}`,
        KVMSEC_FAULT_IN: where,
        KVMSEC_FAULT_ONCE: struck,
      });
      await guard.until(is("watching"), begin);
      await tamperSystemCall(home, NAME);
      // The fault may strike only when it is told to end.
      let status: number | null = null;
      for (let ends = 0; status === null && ends < 3; ends++) {
        await settled(guard, begin);
        status = await guard.end("SIGTERM");
      }
      assert.equal(status, 0);
    } finally {
      await guard.end("SIGKILL");
    }
    const victim = {
      home,
      pid: () => openVm(NAME, home).run?.pid,
      monitor: () => openVm(NAME, home).sockets.operator,
    };
    const state = await mustHold(victim, entries);
    mustBeDoneOnce(since(guard, begin));
    if (kind !== "qemu") {
      const frozen = plan.includes("freeze" as never) && !plan.includes("restore" as never);
      const stays = frozen ? /^(paused|postmigrate)$/ : /^running$/;
      const failed = since(guard, begin).some(is("reaction", { state: "failed" }));
      // What failed leaves what came before it: a frozen guest stays frozen.
      if (!failed) assert.match(state, stays);
      assert.notEqual(state, "gone");
    }
    rmSync(guard.evidence, { recursive: true, force: true });
  });
}

/** Waits until all that was decided is over; a guard that was killed is started again, once. */
async function settled(guard: Guard, begin: number): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await sleep(100)) {
    if (!guard.runs) guard.start();
    else if (isSettled(since(guard, begin))) return;
  }
  assert.fail(
    since(guard, begin)
      .map((event) => JSON.stringify(event))
      .join("\n"),
  );
}

function mustBeDoneOnce(events: readonly GuardEvent[]): void {
  const done = events
    .filter(is("reaction", { state: "done" }))
    .map(({ data }) => `${data["decision"]} ${data["reaction"]}`);
  assert.deepEqual(done, [...new Set(done)]);
}
