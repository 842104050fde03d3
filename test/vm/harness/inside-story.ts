import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { TestContext } from "node:test";
import type { GuestVirtual } from "../../../src/base/address.ts";
import { inspect } from "../../../src/daemon/inspect.ts";
import { ProcEntries } from "../../../src/linux/proc-entry.ts";
import { controlGuest } from "../../../src/response/guest-control.ts";
import { Journal } from "../../../src/response/journal.ts";
import { killProcess } from "../../../src/response/kill-process.ts";
import { settlePending } from "../../../src/response/pending.ts";
import { RamWriter } from "../../../src/response/ram-writer.ts";
import { attach } from "../../../src/vm/guest.ts";
import type { Guest as Attached } from "../../../src/vm/guest.ts";
import { openHome } from "../../../src/vm/home.ts";
import type { Home } from "../../../src/vm/home.ts";
import { kvmsec, refusal } from "../command-line.ts";
import { kernel as debianKernel } from "./debian-kernel.ts";
import { bootTiny } from "./guest.ts";
import type { Guest } from "./guest.ts";
import { helperProgram } from "./helper-program.ts";

/** Kernel and hardware of the guest that is acted upon. */
export type InsideShape = {
  readonly release: string;
  readonly flavour: "cloud" | "generic";
  readonly cpu: string;
  readonly cpus: 1 | 2;
  readonly ram: "memfd" | "anonymous";
};

/** sysfs(2), and what its third option tells: how many file systems there are. */
const SYSFS = 139;

class Place implements Disposable {
  readonly home: Home;
  readonly guest: Guest;
  readonly attached: Attached;
  readonly kernelFile: string;
  readonly #ram: RamWriter;

  constructor(home: Home, guest: Guest, attached: Attached, kernelFile: string) {
    this.home = home;
    this.guest = guest;
    this.attached = attached;
    this.kernelFile = kernelFile;
    this.#ram = new RamWriter(controlGuest(home, this.target));
  }

  get target(): string {
    return `pid:${this.guest.pid}`;
  }

  write(address: GuestVirtual, bytes: Uint8Array): void {
    for (const write of this.#ram.plan(this.attached.kernel, address, bytes)) {
      this.#ram.write(write, Buffer.from(write.after, "hex"));
    }
  }

  pointer(value: GuestVirtual): Buffer {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(this.attached.kernel.space.folding.unfold(value));
    return bytes;
  }

  read(address: GuestVirtual, length: number): string {
    this.attached.kernel.refresh();
    const bytes = this.attached.kernel.space.bytes(address, length);
    return Buffer.from(bytes ?? assert.fail("unreadable")).toString("hex");
  }

  run(action: string, ...args: string[]) {
    return kvmsec(this.home.root, "respond", this.target, action, ...args);
  }

  /** The id of the finding of that check which says so. */
  async finding(check: string, says: RegExp): Promise<string> {
    const args = ["--json", "--kernel-file", this.kernelFile, "--only", check];
    const { stdout, stderr } = await kvmsec(this.home.root, "check", this.target, ...args);
    const { findings } = JSON.parse(stdout || assert.fail(stderr)) as {
      findings: { id: string; check: string; title: string }[];
    };
    const found = findings.find((each) => each.check === check && says.test(each.title));
    return found?.id ?? assert.fail(stdout);
  }

  async repair(id: string): Promise<{ writes: { before: string; after: string }[] }> {
    const told = await this.run("repair", id, "--json", "--kernel-file", this.kernelFile);
    assert.equal(told.status, 0, told.stderr);
    const again = await this.run("repair", id, "--kernel-file", this.kernelFile);
    assert.equal(refusal(again), "2 KVMSEC_FINDING_MISSING");
    return JSON.parse(told.stdout);
  }

  [Symbol.dispose](): void {
    this.#ram[Symbol.dispose]();
  }
}

/** Kills processes of a guest and mends its kernel, all from outside, and asks the guest what came of it. */
export async function insideStory(
  t: TestContext,
  { release, flavour, cpu, cpus, ram }: InsideShape,
): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "kvmsec-inside-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const kernel = await debianKernel({ release, flavour });
  await using guest = await bootTiny({ kernel, cpu, cpus, ram });
  await guest.put("/usr/sbin/call", readFileSync(await helperProgram("call")), 0o755);
  using attached = await attach(`pid:${guest.pid}`);
  const home = openHome({ KVMSEC_HOME: root });
  using place = new Place(home, guest, attached, kernel.vmlinuz);
  await killing(t, place);
  await repairing(t, place);
  assert.equal((await guest.run("echo lives")).trim(), "lives");
}

async function killing(t: TestContext, place: Place): Promise<void> {
  const { guest, home, attached } = place;
  const start = async (line: string): Promise<number> =>
    Number(await guest.run(`${line} > /dev/null 2>&1 < /dev/null & echo $!`));
  const lives = async (pid: number): Promise<boolean> =>
    /^State:\s*[RSDT]/m.test(await guest.run(`cat /proc/${pid}/status 2>/dev/null || true`));

  await t.test("a process that runs dies by its own kernel's hand", async () => {
    const pid = await start("sh -c 'while :; do :; done'");
    const told = await place.run("kill-process", String(pid), "--json");
    assert.equal(told.status, 0, told.stderr + told.stdout);
    assert.equal(JSON.parse(told.stdout).outcome, "dead");
    assert.equal(await lives(pid), false);
  });

  await t.test("one that sleeps is told as pending, and dies when it wakes", async () => {
    await guest.run("mkfifo /tmp/pipe");
    const pid = await start(
      "sh -c 'while read word; do echo $word >> /tmp/heard; done <> /tmp/pipe'",
    );
    await guest.run("echo one > /tmp/pipe; until grep -q one /tmp/heard; do sleep 0.1; done");
    const end = await killProcess(home, attached, pid, { patienceMs: 300 });
    assert.deepEqual([end.outcome, end.state], ["pending", "S"]);
    assert.equal(await lives(pid), true);
    await guest.run("echo two > /tmp/pipe");
    while (await lives(pid)) await sleep(100);
    assert.equal((await guest.run("cat /tmp/heard")).trim(), "one");
  });

  await t.test("what must not be killed, or is another, is left alone", async () => {
    const pid = await start("sleep 86400");
    for (const [args, code] of [
      [["1"], "3 KVMSEC_KILL_REFUSED"],
      [["2"], "3 KVMSEC_KILL_REFUSED"],
      [[String(pid), "--started", "2001-01-01T00:00:00Z"], "3 KVMSEC_KILL_REFUSED"],
      [["4000000"], "2 KVMSEC_NO_SUCH_PROCESS"],
      [["x"], "2 KVMSEC_USAGE"],
    ] as const) {
      assert.equal(refusal(await place.run("kill-process", ...args)), code);
    }
    assert.equal(await lives(pid), true);
    await guest.run(`kill -9 ${pid}`);
  });

  await t.test("a kill that was cut short while the guest stood still is taken back", async () => {
    const journal = new Journal(home);
    const entries = journal.read();
    const write = entries.findLast(({ data }) => data["name"] === "write");
    const begin = entries.find(({ job, kind }) => kind === "begin" && job === write?.job);
    assert.ok(begin?.kind === "begin" && write !== undefined);
    const [piece] = write.data["writes"] as { after: string; before: string; physical: number }[];
    const worker = { pid: 2 ** 22 + 1, startTime: 1, bootId: "none" };
    await journal.append({ kind: "begin", job: "cut", data: { ...begin.data, worker } });
    await journal.append({ kind: "step", job: "cut", data: { name: "stop", wasRunning: true } });
    await journal.append({ kind: "step", job: "cut", data: { name: "write", writes: [piece] } });
    await guest.qmp("stop");
    const [settled] = await settlePending(home, inspect);
    assert.equal(settled?.result, "undone");
    assert.equal(((await guest.qmp("query-status")) as { running: boolean }).running, true);
  });
}

async function repairing(t: TestContext, place: Place): Promise<void> {
  const { guest, attached } = place;
  const { kernel } = attached;
  const kcmp = async (): Promise<number> => Number(await guest.run("call 312 0"));
  const sysfs = async (): Promise<number> => Number(await guest.run(`call ${SYSFS} 3`));

  await t.test("changed code: the right bytes stand, and the guest runs them", async () => {
    const start = kernel.requireSymbol("__x64_sys_sysfs");
    const before = place.read(start, 16);
    const right = await sysfs();
    assert.ok(right > 3 && right !== 42);
    const endbr = before.startsWith("f30f1efa") ? 4 : 0;
    // mov $42, %eax; ret: over the ftrace site, so that what was patched at boot is lost too.
    place.write(start + endbr, Buffer.from("b82a000000c3", "hex"));
    // Software emulation runs what it has translated; what is new runs where it is first run anew.
    await guest.run(`echo 1 > /proc/sys/vm/drop_caches; call ${SYSFS} 3`);
    const id = await place.finding("kernel-text", /sysfs/);
    const { writes } = await place.repair(id);
    assert.ok(writes.length > 0);
    assert.equal(place.read(start, 16), before);
    assert.equal(await sysfs(), right);
  });

  await t.test("a hook that the guest has run is run no more after its repair", async () => {
    const start = kernel.requireSymbol("__x64_sys_kcmp");
    const endbr = place.read(start, 4) === "f30f1efa" ? 4 : 0;
    // Never run before: nothing has been translated of it.
    place.write(start + endbr, Buffer.from("b82a000000c3", "hex"));
    assert.equal(await kcmp(), 42);
    await place.repair(await place.finding("kernel-text", /kcmp/));
    assert.notEqual(await kcmp(), 42);
  });

  await t.test("a slot of the system-call table leads where it did", async () => {
    const table = kernel.requireSymbol("sys_call_table") + SYSFS * 8;
    const before = place.read(table, 8);
    place.write(table, place.pointer(kernel.requireSymbol("commit_creds")));
    await place.repair(await place.finding("syscall-table", /139/));
    assert.equal(place.read(table, 8), before);
  });

  await t.test("an exception's gate leads to its entry point", async () => {
    const gate = kernel.requireSymbol("idt_table") + 16 * 16;
    const before = place.read(gate, 16);
    const bytes = Buffer.from(before, "hex");
    bytes.writeUInt16LE(bytes.readUInt16LE(0) ^ 0x40, 0);
    place.write(gate, bytes);
    await place.repair(await place.finding("idt", /gate 16/));
    assert.equal(place.read(gate, 16), before);
  });

  await t.test("an entry of /proc shows itself again", async () => {
    const entries = new ProcEntries(kernel).below(
      kernel.requireSymbol("proc_root"),
      "",
      kernel.budget(),
      assert.fail,
    );
    const entry = [...entries].find(
      ({ path, role }) => path === "/proc/modules" && role === "proc_ops",
    );
    assert.ok(entry !== undefined);
    const before = place.read(entry.slot, 8);
    place.write(entry.slot, place.pointer(kernel.requireSymbol("kallsyms_proc_ops")));
    await place.repair(await place.finding("operations-tables", /\/proc\/modules/));
    assert.equal(place.read(entry.slot, 8), before);
  });

  await t.test("what nobody knows the right bytes of is refused, and stays", async () => {
    const setting = kernel.requireSymbol("modprobe_path");
    const before = place.read(setting, 16);
    place.write(setting, Buffer.from("/tmp/x\0"));
    const id = await place.finding("helper-programs", /modprobe_path/);
    assert.equal(refusal(await place.run("repair", id)), "3 KVMSEC_REPAIR_IMPOSSIBLE");
    assert.equal(place.read(setting, 7), Buffer.from("/tmp/x\0").toString("hex"));
    place.write(setting, Buffer.from(before, "hex"));
  });

  await t.test("every byte is on record before it is written", () => {
    const entries = new Journal(place.home).read();
    const repairs = entries.filter(
      ({ kind, data }) => kind === "begin" && data["action"] === "repair",
    );
    assert.ok(repairs.length >= 5);
    for (const { data } of repairs) {
      const writes = data["writes"] as { before: string; after: string }[];
      assert.ok(writes.length > 0 && writes.every(({ before, after }) => before !== after));
    }
  });
}
