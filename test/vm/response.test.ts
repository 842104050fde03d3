import assert from "node:assert/strict";
import { existsSync, openSync, readFileSync, readSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "../../src/daemon/inspect.ts";
import { capture } from "../../src/response/capture.ts";
import { Journal } from "../../src/response/journal.ts";
import { settlePending } from "../../src/response/pending.ts";
import { respond } from "../../src/response/respond.ts";
import { restore } from "../../src/response/restore.ts";
import { saveCleanState } from "../../src/response/save-clean.ts";
import { DEFAULT_CLEAN, stateFolder } from "../../src/response/saved-state.ts";
import { readTimeline } from "../../src/evidence/read-timeline.ts";
import { readManifest, verifyPackage } from "../../src/evidence/verify.ts";
import { GuestClock } from "../../src/linux/clock.ts";
import { netdevs } from "../../src/views/netdevs.ts";
import { openConsole } from "../../src/vm/console-link.ts";
import { locateRam } from "../../src/vm/ram-location.ts";
import { qemuProcess } from "../../src/vm/qemu-process.ts";
import { connectQmp } from "../../src/qmp/connection.ts";
import { RunningCopy } from "../../src/response/running-copy.ts";
import { copySparse } from "../../src/response/sparse-copy.ts";
import { attach } from "../../src/vm/guest.ts";
import { openVm, stopVm, vmState } from "../../src/vm/guest-vm.ts";
import { refusal, startKvmsec } from "./command-line.ts";
import type { TestHome } from "./golden-image.ts";
import { flipByte } from "./harness/flip-byte.ts";
import { systemCallSlot, tamperSystemCall } from "./harness/system-call-slot.ts";
import { Lab } from "./lab.ts";

const NAME = "victim";
let lab: Lab;
let home: TestHome;
let original: string;
let evidence: string;

before(async () => {
  lab = await Lab.boot(NAME);
  home = lab.home;
  evidence = join(home.root, "evidence", "first");
  original = await systemCallSlot(NAME);
});

after(() => lab[Symbol.asyncDispose]());

const run = (...args: string[]) => lab.run(...args);
const state = () => vmState(openVm(NAME, home), 10_000);

async function carriers(): Promise<boolean[]> {
  using guest = await attach(NAME);
  const rows = [...netdevs.read(guest.kernel, {}, assert.fail)];
  return rows.filter(({ name }) => name !== "lo").map(({ flags }) => flags.includes("LOWER_UP"));
}

async function untilCarriers(wanted: boolean): Promise<void> {
  for (;;) {
    const seen = await carriers();
    assert.equal(seen.length, 1);
    if (seen[0] === wanted) return;
    await sleep(100);
  }
}

test("freeze and resume: QEMU and the guest's clock agree", async () => {
  const frozen = await respond(home, NAME, "freeze");
  assert.deepEqual(frozen.outcome, { before: "running", after: "paused" });
  assert.equal(await state(), "paused");
  const resumed = JSON.parse((await run("respond", NAME, "resume", "--json")).stdout);
  assert.deepEqual(resumed.outcome, { before: "paused", after: "running" });
  assert.equal(await state(), "running");
});

test("LSTAR of each processor is read in a pause, after which the guest runs on", async () => {
  const args = ["check", NAME, "--pause", "--only", "control-registers", "--json"];
  const { stdout, stderr, status } = await run(...args);
  assert.deepEqual([status, stderr], [0, ""]);
  const [{ coverage }] = JSON.parse(stdout).checks;
  assert.equal(coverage.looked, coverage.of);
  assert.equal(await state(), "running");
});

test("isolate and rejoin: the guest's card loses its carrier, and gets it back", async () => {
  await untilCarriers(true);
  await respond(home, `pid:${openVm(NAME, home).run!.pid}`, "isolate");
  await untilCarriers(false);
  await respond(home, NAME, "rejoin");
  await untilCarriers(true);
});

test("a clean state is saved, and only a clean one", async () => {
  const { state: saved } = await saveCleanState(home, NAME, inspect);
  assert.equal(saved.kind, "clean");
  assert.equal(await state(), "running");
  assert.equal((await tamperSystemCall(home, NAME)).before, original);
  assert.equal(refusal(await run("respond", NAME, "save-clean")), "1 KVMSEC_CLEAN_STATE_DIRTY");
  assert.equal(await state(), "running", "a refusal leaves no guest stopped");
});

/** Sets the guest's clock to where the host's is not. */
async function setClock(): Promise<void> {
  using link = await openConsole(openVm(NAME, home), home);
  link.write("date -s '2001-02-03 04:05:06'\r");
  for (;;) {
    using guest = await attach(NAME);
    if (new GuestClock(guest.kernel).written < Date.parse("2002-01-01")) return;
    await sleep(100);
  }
}

test("a capture holds the tampering, its views and findings are of that moment, and the guest runs on", async () => {
  const tampered = await systemCallSlot(NAME);
  assert.notEqual(tampered, original);
  await setClock();
  const { pauseMs, verdict, manifest } = await capture(home, NAME, evidence, { inspect });
  assert.ok(pauseMs > 0);
  assert.equal(verdict, "tampered");
  // Where the host does not allow the short way, the package says why.
  const { method, methodReason } = manifest.facts;
  assert.equal(methodReason === null, method === "copy-behind");
  assert.equal(await state(), "running");
  assert.equal(await systemCallSlot(`file:${join(evidence, "memory.elf")}`), tampered);
  const names = new Set(manifest.files.map(({ path }) => path));
  for (const name of [
    "device-state.bin",
    "disk-disk.qcow2",
    "findings.json",
    "registers.txt",
    "registers.json",
    "views/ps.json",
  ]) {
    assert.ok(names.has(name), name);
  }
  const { processors } = JSON.parse(readFileSync(join(evidence, "registers.json"), "utf8"));
  assert.match(processors[0].registers.RIP, /^0x[0-9a-f]+$/);
  // A VM of kvmsec has no display.
  const { file, reason } = manifest.facts["screenshot"] as { file: null; reason: string };
  assert.equal(file, null);
  assert.ok(reason.length > 0);
  const { processes } = JSON.parse(readFileSync(join(evidence, "views/ps.json"), "utf8"));
  assert.ok(processes.some(({ pid }: { pid: number }) => pid === 1));
  const { findings } = JSON.parse(readFileSync(join(evidence, "findings.json"), "utf8"));
  assert.match(JSON.stringify(findings), /sys_call_table/);
  {
    using core = await attach(`file:${join(evidence, "memory.elf")}`);
    const notes = core.memory as { notes?: { vmcoreinfo?: string; cpus?: unknown[] } };
    assert.match(
      notes.notes?.vmcoreinfo ?? "",
      new RegExp(`OSRELEASE=${core.kernel.identity.release}`),
    );
    assert.equal(notes.notes?.cpus?.length, 1);
  }
  assert.equal(refusal(await run("capture", NAME, "-o", evidence)), "2 KVMSEC_EVIDENCE_EXISTS");
});

test("a capture has a timeline by the host's clock, whatever the guest's says", async () => {
  const { manifest } = readManifest(evidence);
  const captured = Date.parse(manifest.createdAt);
  const started = Date.parse(openVm(NAME, home).run!.startedAt);
  const { clock, entries, incomplete } = (await readTimeline(evidence))!;
  assert.equal(incomplete, undefined);
  assert.match(clock.bootTime!, /^2001-02-03/);
  assert.ok(clock.correctedMs < Date.parse("2001-02-04") - captured + 1e9);
  const times = entries.map(({ at }) => Date.parse(at));
  assert.deepEqual(
    times,
    times.toSorted((a, b) => a - b),
  );
  const of = (kind: string) => entries.filter((entry) => entry.kind === kind);
  const [boot] = of("boot");
  // The kernel's clock was as old as its last tick, and QEMU's begins with a whole second.
  const slack = 5000;
  assert.ok(Date.parse(boot!.at) > started - slack && Date.parse(boot!.at) < captured);
  const first = of("process").find(({ text }) => /\(pid 1, uid 0\) started/.test(text));
  assert.ok(Math.abs(Date.parse(first!.at) - Date.parse(boot!.at)) < 60_000);
  assert.match(first!.guestTime!, /^2001-02-03/);
  for (const entry of entries) {
    const at = Date.parse(entry.at);
    assert.ok(at > started - slack && at < captured + slack, JSON.stringify(entry));
  }
  assert.ok(of("kernel-log").some(({ text }) => text.startsWith("Linux version")));
  assert.ok(of("job").some(({ text }) => text === "freeze ends: done"));
  assert.ok(of("job").some(({ text }) => text === "capture: stop"));
  assert.match(JSON.stringify(of("finding")), /sys_call_table/);
  assert.deepEqual(
    of("capture")
      .map(({ text }) => text)
      .slice(0, 2),
    ["stopped", "registers"],
  );
  const told = await run("evidence", "timeline", evidence, "--kind", "capture");
  assert.equal(told.stdout.trimEnd().split("\n").length, of("capture").length);
  assert.match(told.stderr, /the guest's clock was .* behind the host's/);
});

test("a changed byte anywhere in a package is named by verify", async () => {
  assert.deepEqual((await verifyPackage(evidence)).faults, []);
  for (const [name, at] of [
    ["memory.elf", 300 * 2 ** 20 + 5],
    ["device-state.bin", 1000],
    ["views/ps.json", 10],
  ] as const) {
    const undo = flipByte(join(evidence, name), at);
    const told = await run("evidence", "verify", evidence);
    assert.equal(told.status, 1);
    assert.match(told.stdout, new RegExp(`^${name}: was changed$`, "m"));
    undo();
  }
  assert.equal((await run("evidence", "verify", evidence)).status, 0);
});

test("a capture that is killed leaves no stopped guest and no half package", async () => {
  const folder = join(home.root, "evidence", "killed");
  const started = startKvmsec(home.root, ["capture", NAME, "-o", folder]);
  const journal = new Journal(home);
  const stopped = () =>
    journal
      .read()
      .some(
        ({ kind, data, job }) =>
          kind === "step" &&
          data["name"] === "stop" &&
          journal.read().some((entry) => entry.job === job && entry.data["folder"] === folder),
      );
  while (!stopped()) await sleep(5);
  const gone = new Promise((resolve) => started.on("close", resolve));
  process.kill(-started.pid!, "SIGKILL");
  await gone;
  const settled = await settlePending(home, inspect);
  assert.deepEqual(
    settled.map(({ action, result }) => [action, result]),
    [["capture", "undone"]],
  );
  assert.equal(await state(), "running");
  assert.equal(existsSync(folder), false);
  assert.deepEqual(await settlePending(home, inspect), []);
});

test("a clean state that was changed is refused before anything is done to the guest", async () => {
  const undo = flipByte(join(stateFolder(home, NAME, DEFAULT_CLEAN), "ram.img"), 100 * 2 ** 20);
  const { pid } = openVm(NAME, home).run!;
  const told = refusal(await run("respond", NAME, "restore", "--no-evidence"));
  assert.equal(told, "3 KVMSEC_STATE_UNVERIFIED");
  assert.equal(openVm(NAME, home).run?.pid, pid);
  undo();
});

test("restore puts the clean guest back: another QEMU, the tampering gone, on its network again", async () => {
  const { pid } = openVm(NAME, home).run!;
  const restored = await restore(home, NAME, { inspect, evidence: false });
  assert.deepEqual([restored.from, restored.verdict], ["clean-state", "clean"]);
  assert.notEqual(openVm(NAME, home).run!.pid, pid);
  assert.equal(await state(), "running");
  assert.equal(await systemCallSlot(NAME), original);
  await untilCarriers(true);
});

test("a restoration whose kvmsec died after it had ended the guest is done to its end", async () => {
  const { run: victim, config } = openVm(NAME, home);
  const journal = new Journal(home);
  const target = { text: NAME, identity: victim! };
  const worker = { pid: 2 ** 22 + 1, startTime: 1, bootId: "none" };
  const begin = { action: "restore", target, worker, name: NAME, cold: false };
  await journal.append({ kind: "begin", job: "cut-short", data: begin });
  await journal.append({
    kind: "step",
    job: "cut-short",
    data: { name: "prepare", from: "clean-state" },
  });
  await journal.append({ kind: "step", job: "cut-short", data: { name: "quit" } });
  await stopVm(NAME, { force: true }, home);
  assert.equal(await state(), "stopped");
  // Any command settles what was left, here one that then finds nothing to do.
  const told = await run("respond", NAME, "resume");
  assert.equal(told.status, 0, told.stderr);
  assert.match(told.stderr, /'restore' of victim was cut short before; now finished/);
  assert.equal(openVm(NAME, home).config.uuid, config.uuid);
  assert.equal(await state(), "running");
  assert.equal(await systemCallSlot(NAME), original);
});

test("compressed, a package verifies, opens and is read as before", async () => {
  const disk = (): number =>
    readdirSync(evidence, { recursive: true, withFileTypes: true })
      .map(({ parentPath, name }) => statSync(join(parentPath, name)).blocks * 512)
      .reduce((sum, bytes) => sum + bytes, 0);
  const plain = disk();
  const shown = (await run("ps", `file:${join(evidence, "memory.elf")}`, "--json")).stdout;
  const tampered = await systemCallSlot(`file:${join(evidence, "memory.elf")}`);
  const told = await run("evidence", "compress", evidence, "--json");
  assert.equal(told.status, 0, told.stderr);
  assert.equal(existsSync(join(evidence, "memory.elf")), false);
  assert.ok(disk() < plain / 2, `${disk()} of ${plain} bytes`);
  assert.equal((await run("evidence", "verify", evidence)).status, 0);
  const packed = join(evidence, "memory.elf.zst");
  assert.equal(await systemCallSlot(`file:${packed}`), tampered);
  const again = (await run("ps", `file:${join(evidence, "memory.elf")}`, "--json")).stdout;
  assert.deepEqual(JSON.parse(again).processes, JSON.parse(shown).processes);
  const undo = flipByte(packed, Math.floor(statSync(packed).size / 2));
  assert.match(
    (await run("evidence", "verify", evidence)).stdout,
    /^memory\.elf\.zst: was changed$/m,
  );
  undo();
});

test("a revived capture still holds the tampering, and has no network", async () => {
  const told = await run("evidence", "revive", evidence, "--name", "again", "--json");
  assert.equal(told.status, 0, told.stderr);
  assert.notEqual(await systemCallSlot("again"), original);
  assert.equal(await vmState(openVm("again", home), 10_000), "running");
  using guest = await attach("again");
  for (;;) {
    guest.kernel.refresh();
    const cards = [...netdevs.read(guest.kernel, {}, assert.fail)].filter(
      ({ name }) => name !== "lo",
    );
    if (cards.length === 1 && !cards[0]!.flags.includes("LOWER_UP")) break;
    await sleep(100);
  }
  assert.deepEqual((await verifyPackage(evidence)).faults, []);
});

test("memory copied behind the running guest is, byte for byte, that of the moment it was stopped", async (t) => {
  const vm = openVm(NAME, home);
  const { pid } = vm.run!;
  {
    using link = await openConsole(vm, home);
    link.write("while :; do dd if=/dev/urandom of=/run/noise bs=1M count=16; done\r");
    await sleep(1000);
  }
  using monitor = await connectQmp(vm.sockets.operator);
  const ram = locateRam(qemuProcess(pid)!);
  const source = openSync(ram.path!, "r");
  const [plain, behind] = ["plain", "behind"].map((name) => openSync(join(home.root, name), "wx+"));
  const files = { source, target: behind!, ramAt: 0 };
  const copy = await RunningCopy.prepare(pid, ram, files).catch((error: Error) => error);
  if (copy instanceof Error) return t.skip(`this host does not allow it: ${copy.message}`);
  await using held = copy;
  await held.guard();
  // It goes on writing while all is protected, and that is part of the moment too.
  await sleep(500);
  await monitor.execute("stop");
  copySparse(source, plain!, 0, ram.size);
  const { copied } = await held.start();
  await monitor.execute("cont");
  const { waits } = await copied;
  t.diagnostic(`the guest waited ${waits} times`);
  assert.ok(waits > 0, "the guest wrote while it was copied");
  assert.equal(firstDifference(plain!, behind!, ram.size), undefined);
  assert.notEqual(firstDifference(plain!, source, ram.size), undefined, "it has moved on since");
});

/** Where two files differ first. */
function firstDifference(left: number, right: number, size: number): number | undefined {
  const [a, b] = [Buffer.alloc(2 ** 20), Buffer.alloc(2 ** 20)];
  for (let at = 0; at < size; at += a.length) {
    // A file of holes may end early: what is not there is zero.
    a.fill(0, readSync(left, a, 0, a.length, at));
    b.fill(0, readSync(right, b, 0, b.length, at));
    if (!a.equals(b)) return at;
  }
  return undefined;
}
