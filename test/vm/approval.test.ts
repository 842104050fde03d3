import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { GuardEvent } from "../../src/events/event.ts";
import { eventLogPath } from "../../src/events/event-log.ts";
import { readLog } from "../../src/events/log-reader.ts";
import { attach } from "../../src/vm/guest.ts";
import { kvmsec, refusal } from "./command-line.ts";
import { kernel as debianKernel } from "./harness/debian-kernel.ts";
import { bootTiny } from "./harness/guest.ts";
import { RamEditor } from "./harness/ram-editor.ts";

const PATIENCE_MS = 240_000;
const program = resolve(import.meta.dirname, "../../src/cli/main.ts");

const holds = (rule: string) => (event: GuardEvent) =>
  event.kind === "decision" &&
  event.data["rule"] === rule &&
  JSON.stringify(event.data["held"]).includes('"because":"approval"');

test("what destroys state waits for a person, over the guard's own end, and is done on their word", async (t) => {
  const kernel = await debianKernel({ release: "bookworm", flavour: "cloud" });
  await using guest = await bootTiny({ kernel, cpu: "max,la57=off", cpus: 1 });
  const home = mkdtempSync(join(tmpdir(), "kvmsec-approval-"));
  const config = join(home, "guard.yaml");
  writeFileSync(
    config,
    [
      "vms: false",
      `targets: ["pid:${guest.pid}"]`,
      "interval: 1s",
      "rules:",
      "  - {name: mend, when: {checks: [syscall-table]}, do: [alert, repair]}",
      "  - {name: end-it, when: {checks: [syscall-table]}, do: [kill-process]}",
      "",
    ].join("\n"),
  );
  let guard: ChildProcess | undefined;
  const start = (): void => {
    const flags = ["--conditions=kvmsec-source", "--disable-warning=ExperimentalWarning"];
    guard = spawn(process.execPath, [...flags, program, "serve", "--config", config], {
      env: { ...process.env, KVMSEC_HOME: home },
      stdio: "ignore",
    });
  };
  const end = async (): Promise<void> => {
    if (guard === undefined || guard.exitCode !== null || guard.signalCode !== null) return;
    const gone = once(guard, "exit");
    guard.kill("SIGKILL");
    await gone;
  };
  t.after(async () => {
    await end();
    rmSync(home, { recursive: true, force: true });
  });
  const until = async (accept: (event: GuardEvent) => boolean): Promise<GuardEvent> => {
    let events: GuardEvent[] = [];
    for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await sleep(50)) {
      events = [];
      readLog(eventLogPath(home), (event) => events.push(event));
      const found = events.find(accept);
      if (found !== undefined) return found;
    }
    return assert.fail(JSON.stringify(events));
  };
  const approvals = async (): Promise<{ id: number; reactions: string[]; state: string }[]> =>
    JSON.parse((await kvmsec(home, "approvals", "--all", "--json")).stdout).approvals;

  using attached = await attach(`pid:${guest.pid}`);
  using editor = new RamEditor(guest, attached.kernel);
  const slot = attached.kernel.requireSymbol("sys_call_table") + 139 * 8;
  const before = attached.kernel.space.pointer(slot);
  start();
  await until((event) => event.kind === "watching");
  editor.writePointer(slot, attached.kernel.requireSymbol("commit_creds"));
  const mend = await until(holds("mend"));
  const endIt = await until(holds("end-it"));
  assert.deepEqual(
    (await approvals()).map(({ id, reactions, state }) => [id, reactions, state]),
    [
      [mend.sequence, ["repair"], "pending"],
      [endIt.sequence, ["kill-process"], "pending"],
    ],
  );
  const denied = await kvmsec(
    home,
    "deny",
    String(endIt.sequence),
    "--note",
    "no process is at fault",
  );
  assert.equal(denied.status, 0, denied.stderr);

  await end();
  assert.equal(attached.kernel.space.pointer(slot) === before, false, "nothing was done unasked");
  const told = await kvmsec(
    home,
    "approve",
    String(mend.sequence),
    "--by",
    "ann",
    "--note",
    "do it",
  );
  assert.match(told.stdout, /when it is started/);
  assert.equal(
    refusal(await kvmsec(home, "approve", String(mend.sequence))),
    "2 KVMSEC_APPROVAL_SETTLED",
  );
  assert.equal(refusal(await kvmsec(home, "deny", "4711")), "2 KVMSEC_APPROVAL_UNKNOWN");

  start();
  await until(
    ({ kind, data }) =>
      kind === "reaction" && data["reaction"] === "repair" && data["state"] === "done",
  );
  attached.kernel.refresh();
  assert.equal(attached.kernel.space.pointer(slot), before);
  await until(({ kind, data }) => kind === "finding" && data["event"] === "resolved");
  assert.deepEqual(
    (await approvals()).map(({ state }) => state),
    ["approved", "denied"],
  );
  const verified = await kvmsec(home, "events", "--verify", "--json");
  assert.equal(verified.status, 0, verified.stdout);
});
