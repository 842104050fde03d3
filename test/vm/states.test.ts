import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "../../src/daemon/inspect.ts";
import { Journal } from "../../src/response/journal.ts";
import { settlePending } from "../../src/response/pending.ts";
import { stateFolder } from "../../src/response/saved-state.ts";
import { vmState } from "../../src/vm/guest-vm.ts";
import { abnormalEnd } from "../../src/vm/vm-end.ts";
import { vmPaths } from "../../src/vm/vm-state.ts";
import { refusal, startKvmsec } from "./command-line.ts";
import { flipByte } from "./harness/flip-byte.ts";
import { systemCallSlot, tamperSystemCall } from "./harness/system-call-slot.ts";
import { Lab } from "./lab.ts";

let lab: Lab;
let original: string;

before(async () => {
  lab = await Lab.boot("keeper");
  original = await systemCallSlot(lab.name);
});

after(() => lab[Symbol.asyncDispose]());

const state = () => vmState(lab.vm, 10_000);
async function tamper(): Promise<void> {
  await tamperSystemCall(lab.home, lab.name);
  assert.notEqual(await systemCallSlot(lab.name), original);
}

async function states(): Promise<string[][]> {
  const { stdout } = await lab.run("snapshot", "list", lab.name, "--json");
  const { snapshots } = JSON.parse(stdout) as {
    snapshots: { name: string; kind: string; fault: string | null; size: number }[];
  };
  assert.ok(snapshots.every(({ size }) => size > 10 * 2 ** 20));
  return snapshots.map(({ name, kind, fault }) => [name, kind, fault ?? ""]);
}

test("a snapshot keeps memory and disk of its moment, and the guest runs on", async () => {
  assert.equal(await lab.type("echo first > /root/note; sync; cat /root/note"), "first");
  const told = await lab.run("vm", "snapshot", "create", lab.name, "one", "--json");
  assert.equal(told.status, 0, told.stderr);
  const { pauseMs, running } = JSON.parse(told.stdout);
  assert.ok(pauseMs > 0);
  assert.equal(running, true);
  assert.equal(await state(), "running");
  assert.deepEqual(await states(), [["one", "snapshot", ""]]);
  const again = await lab.run("snapshot", "create", lab.name, "one");
  assert.equal(refusal(again), "2 KVMSEC_SNAPSHOT_EXISTS");
});

test("restored, memory and disk are what they were, in another QEMU", async () => {
  await tamper();
  assert.equal(await lab.type("echo second > /root/note; sync; cat /root/note"), "second");
  const { pid } = lab;
  const told = await lab.run("snapshot", "restore", lab.name, "one", "--json");
  assert.equal(told.status, 0, told.stderr);
  assert.equal(JSON.parse(told.stdout).pid, lab.pid);
  assert.notEqual(lab.pid, pid);
  assert.equal(await systemCallSlot(lab.name), original);
  assert.equal(await lab.type("cat /root/note"), "first");
});

test("a snapshot of a guest that stands still stands still when it is restored", async () => {
  await lab.run("respond", lab.name, "freeze");
  const told = await lab.run("snapshot", "create", lab.name, "still");
  assert.match(told.stdout, /stood still already/);
  await lab.run("respond", lab.name, "resume");
  const back = await lab.run("vm", "restore", lab.name, "still");
  assert.equal(back.status, 0, back.stderr);
  assert.equal(await state(), "paused");
  await lab.run("respond", lab.name, "resume");
  assert.equal(await lab.type("cat /root/note"), "first");
});

test("clean states have names; what no sweep found clean is no clean state", async () => {
  const saved = await lab.run("respond", lab.name, "save-clean", "--state", "known-good");
  assert.equal(saved.status, 0, saved.stderr + saved.stdout);
  await tamper();
  const args = ["respond", lab.name, "restore", "--no-evidence", "--json", "--state"];
  assert.equal(refusal(await lab.run(...args, "one")), "3 KVMSEC_STATE_UNVERIFIED");
  assert.equal(refusal(await lab.run(...args, "none")), "3 KVMSEC_STATE_MISSING");
  const told = await lab.run(...args, "known-good");
  assert.equal(told.status, 0, told.stderr);
  const { from, state: name, verdict } = JSON.parse(told.stdout);
  assert.deepEqual([from, name, verdict], ["clean-state", "known-good", "clean"]);
  assert.equal(await systemCallSlot(lab.name), original);
});

test("a saved state that was changed is named by the list, and refused", async () => {
  const path = join(stateFolder(lab.home, lab.name, "one"), "state.json");
  flipByte(path, 200);
  const { pid } = lab;
  const told = await lab.run("snapshot", "restore", lab.name, "one");
  assert.match(refusal(told), /KVMSEC_STATE_(UNVERIFIED|DAMAGED)/);
  assert.match(JSON.stringify(await states()), /"one",null,"[^"]+/);
  flipByte(path, 200);
  flipByte(join(stateFolder(lab.home, lab.name, "one"), "ram.img"), 90 * 2 ** 20);
  const changed = await lab.run("snapshot", "restore", lab.name, "one");
  assert.equal(refusal(changed), "3 KVMSEC_STATE_UNVERIFIED");
  assert.equal(lab.pid, pid);
  assert.equal(await state(), "running");
});

test("a snapshot whose kvmsec is killed leaves no stopped guest and no half state", async () => {
  const started = startKvmsec(lab.home.root, ["snapshot", "create", lab.name, "killed"]);
  const journal = new Journal(lab.home);
  const begun = () => journal.read().find(({ data }) => data["name"] === "killed")?.job;
  const stopped = () =>
    journal.read().some(({ job, data }) => job === begun() && data["name"] === "stop");
  while (!stopped()) await sleep(5);
  const gone = new Promise((resolve) => started.on("close", resolve));
  process.kill(-started.pid!, "SIGKILL");
  await gone;
  const settled = await settlePending(lab.home, inspect);
  assert.deepEqual(
    settled.map(({ action, result }) => [action, result]),
    [["snapshot", "undone"]],
  );
  assert.equal(await state(), "running");
  assert.equal(existsSync(stateFolder(lab.home, lab.name, "killed")), false);
});

test("deleted, a saved state is gone", async () => {
  const told = await lab.run("vm", "snapshot", "delete", lab.name, "one");
  assert.equal(told.status, 0, told.stderr);
  assert.deepEqual(await states(), [
    ["known-good", "clean", ""],
    ["still", "snapshot", ""],
  ]);
  const again = await lab.run("snapshot", "delete", lab.name, "one");
  assert.equal(refusal(again), "3 KVMSEC_STATE_MISSING");
});

test("a cold restoration boots the golden image: nothing is left of what the guest had written", async () => {
  await tamper();
  const told = await lab.run("respond", lab.name, "restore", "--cold", "--no-evidence", "--json");
  assert.equal(told.status, 0, told.stderr);
  const { from, verdict } = JSON.parse(told.stdout);
  assert.deepEqual([from, verdict], ["golden-image", "clean"]);
  assert.equal(await lab.type("cat /root/note 2>&1 | grep -c 'No such'"), "1");
});

test("restarted, another QEMU boots it on its disk; killed by order, nothing of it is kept as a crash", async () => {
  const { pid } = lab;
  const told = await lab.run("respond", lab.name, "restart", "--json");
  assert.equal(told.status, 0, told.stderr);
  const { outcome, pid: now } = JSON.parse(told.stdout);
  assert.equal(outcome, "restarted");
  assert.equal(now, lab.pid);
  assert.notEqual(now, pid);
  const killed = await lab.run("respond", lab.name, "kill");
  assert.equal(killed.status, 0, killed.stderr);
  assert.equal(await state(), "stopped");
  assert.equal(abnormalEnd(vmPaths(lab.home, lab.name)), undefined);
});
