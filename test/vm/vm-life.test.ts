import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, readdirSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { verifyPackage } from "../../src/evidence/verify.ts";
import { connectQmp } from "../../src/qmp/connection.ts";
import { openConsole, waitForLogin } from "../../src/vm/console-link.ts";
import type { ConsoleLink } from "../../src/vm/console-link.ts";
import { createVm, listVms, openVm, startVm, stopVm, vmState } from "../../src/vm/guest-vm.ts";
import { isRunning } from "../../src/vm/process-identity.ts";
import { vmPaths } from "../../src/vm/vm-state.ts";
import { kvmsec, refusal, startKvmsec } from "./command-line.ts";
import { create, home, run, small } from "./small-vms.ts";

const bin = fileURLToPath(new URL("../../bin/kvmsec.js", import.meta.url));
const BOOT_MS = 300_000;

/** Collects what the guest prints until it matches. */
async function expectOutput(link: ConsoleLink, pattern: RegExp): Promise<string> {
  let seen = "";
  return new Promise((resolve, reject) => {
    link.onOutput((bytes) => {
      seen += Buffer.from(bytes).toString();
      if (pattern.test(seen)) resolve(seen);
    });
    void link.ended.then(() => reject(new Error(`the guest ended after: ${seen}`)));
  });
}

test("a guest from first to last: made, booted, looked at, typed into, shut down, deleted", async () => {
  const made = await create("web", "--cpus", "2", "--wait", "--timeout", "300", "--json");
  assert.equal(made.status, 0, made.stderr);
  const shown = JSON.parse(made.stdout);
  assert.equal(shown.schema, "kvmsec.vm/1");
  assert.deepEqual([shown.name, shown.state, shown.memory], ["web", "running", 384 * 2 ** 20]);

  const vm = openVm("web", home);
  assert.equal(vm.run?.pid, shown.pid);
  assertConfined(shown.pid, vmPaths(home, "web").folder);

  {
    using link = await openConsole(vm, home);
    // The shell may still be coming up; it reads what was typed before.
    const answer = expectOutput(link, /^web 2 42\r?$/m);
    link.write("echo $(hostname) $(nproc) $((6*7))\r");
    await answer;
    const unsafe = expectOutput(link, /^root:\S+/m);
    link.write("grep ^root: /etc/shadow\r");
    assert.match(await unsafe, /^root:[*!]/m);
    await assert.rejects(openConsole(vm, home), { code: "KVMSEC_CONSOLE_BUSY" });
  }

  // The monitor's socket is free while the operator's is in use.
  using operator = await connectQmp(vm.sockets.operator);
  using monitor = await connectQmp(vm.sockets.monitor);
  const memory = await monitor.execute("query-memdev");
  assert.deepEqual([memory[0]!.size, memory[0]!.share], [vm.ram.size, true]);
  operator.close();

  const listed = JSON.parse((await run("list", "--json")).stdout);
  assert.equal(listed.schema, "kvmsec.vms/1");
  assert.deepEqual(
    listed.vms.map(({ name, state }: { name: string; state: string }) => [name, state]),
    [["web", "running"]],
  );
  assert.equal(refusal(await run("start", "web")), "2 KVMSEC_VM_RUNNING");
  assert.equal(refusal(await run("delete", "web")), "2 KVMSEC_VM_RUNNING");

  using link = await openConsole(vm, home);
  const goodbye = expectOutput(link, /reboot: Power down/);
  const stopped = await run("stop", "web", "--timeout", "200");
  assert.equal(stopped.status, 0, stopped.stderr);
  await goodbye;
  assert.equal((await monitor.ended).shutdown?.reason, "guest-shutdown");
  assert.equal(openVm("web", home).run, undefined);
  assert.equal(refusal(await run("stop", "web")), "2 KVMSEC_VM_NOT_RUNNING");
  assert.equal(refusal(await run("console", "web")), "2 KVMSEC_VM_NOT_RUNNING");
  assert.equal((await run("delete", "web")).status, 0);
  assert.equal(existsSync(vmPaths(home, "web").folder), false);
  assert.deepEqual(listVms(home), []);
});

/** What must hold of every QEMU that kvmsec starts. */
function assertConfined(pid: number, folder: string): void {
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  for (const name of ["monitor.qmp", "operator.qmp", "console.sock", "qemu.log", "run.json"]) {
    assert.equal(statSync(`${folder}/${name}`).mode & 0o077, 0, name);
  }
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  assert.match(status, /^Seccomp:\t2$/m);
  assert.match(status, /^NoNewPrivs:\t1$/m);
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  assert.deepEqual([Number(stat[3]), stat[4]], [pid, "0"], "a session of its own, no terminal");
  const open = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
  assert.ok(open.some((path) => path.startsWith("/memfd:kvmsec-ram")));
}

test("a guest outlives the command that started it, killed with all its kin", async () => {
  await createVm("orphan", { image: home.image, ...small }, home);
  const starter = startKvmsec(home.root, ["vm", "start", "orphan", "--wait"]);
  await new Promise<void>((resolve) => {
    starter.stderr.on("data", (text: Buffer) => text.includes("booting") && resolve());
  });
  process.kill(-starter.pid!, "SIGKILL");
  await once(starter, "close");
  const vm = openVm("orphan", home);
  assert.equal(await vmState(vm), "running");
  // It boots on, and its console is free.
  using link = await openConsole(vm, home);
  await waitForLogin(link, "orphan", BOOT_MS);
});

test("a guest that powers itself off is stopped, and starts again with its disk as it was; of one that was killed what is left is kept first", async () => {
  await createVm("self", { image: home.image, ...small, ram: "file" }, home);
  const first = await startVm("self", {}, home);
  {
    using link = await openConsole(openVm("self", home), home);
    await waitForLogin(link, "self", BOOT_MS);
    link.write("echo kept > /root/note; poweroff\r");
    await link.ended;
  }
  while (isRunning(first)) await sleep(20);
  assert.equal(await vmState(openVm("self", home)), "stopped");
  assert.equal((await run("start", "self")).status, 0);
  const evidence = join(home.root, "evidence");
  assert.equal(existsSync(evidence), false, "an end in order leaves nothing to keep");
  {
    using link = await openConsole(openVm("self", home), home);
    await waitForLogin(link, "self", BOOT_MS);
    const note = expectOutput(link, /^kept\r?$/m);
    link.write("cat /root/note\r");
    await note;
  }
  process.kill(openVm("self", home).run!.pid, "SIGKILL");
  while (openVm("self", home).run !== undefined) await sleep(20);
  assert.equal((await run("start", "self")).status, 0);
  const [kept] = readdirSync(evidence);
  assert.match(String(kept), /^self-ended-/);
  const folder = join(evidence, kept!);
  assert.deepEqual((await verifyPackage(folder)).faults, []);
  // It holds the processes of the guest that was killed.
  const listed = await kvmsec(home.root, "ps", `file:${join(folder, "memory.elf")}`, "--json");
  assert.match(listed.stdout, /"comm":"systemd"/, listed.stderr);
});

test("the guide's example runs as it stands", async () => {
  const guide = readFileSync(new URL("../../docs/guide/guests.md", import.meta.url), "utf8");
  const [, example] = /^```ts\n([^]*?)^```/m.exec(guide)!;
  const program = `const image = ${JSON.stringify(home.image)};\n${example}`;
  const child = spawn(
    process.execPath,
    ["--conditions=kvmsec-source", "--input-type=module-typescript", "--eval", program],
    {
      env: { ...process.env, KVMSEC_HOME: home.root },
      cwd: fileURLToPath(new URL("../..", import.meta.url)),
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  let said = "";
  child.stdout.on("data", (text: Buffer) => (said += text.toString()));
  const [status] = await once(child, "close");
  assert.equal(status, 0);
  assert.match(said, /^\d+ memfd\nrunning\n$/);
  assert.deepEqual(listVms(home), []);
});

for (const [machine, ram, network] of [
  ["pc", "file", "none"],
  ["microvm", "anonymous", "user"],
] as const) {
  test(`a guest boots on ${machine} with ${ram} RAM and network ${network}`, async () => {
    const options = { image: home.image, ...small, machine, ram, network };
    const { uuid } = await createVm("other", options, home);
    await startVm("other", {}, home);
    const vm = openVm("other", home);
    const ramFile = `/dev/shm/kvmsec-${uuid}`;
    if (ram === "file") {
      assert.equal(vm.ram.path, ramFile);
      assert.equal(statSync(ramFile).mode & 0o777, 0o600);
    }
    {
      using link = await openConsole(vm, home);
      await waitForLogin(link, "other", BOOT_MS);
      const cards = expectOutput(link, /^cards=\d+\r?$/m);
      link.write("echo cards=$(ls /sys/class/net | grep -vc lo)\r");
      assert.match(await cards, network === "none" ? /cards=0/ : /cards=1/);
    }
    await stopVm("other", { timeoutMs: 200_000 }, home);
    assert.equal(existsSync(ramFile), false);
  });
}

test("on a terminal: raw while at the console, ~. leaves, and the terminal is as before", async () => {
  await createVm("tty", { image: home.image, ...small }, home);
  await startVm("tty", {}, home);
  {
    using link = await openConsole(openVm("tty", home), home);
    await waitForLogin(link, "tty", BOOT_MS);
  }
  // script(1) gives the command a terminal; what it was set to is printed before and after.
  const command = `stty -g; ${process.execPath} ${bin} vm console tty; echo status=$?; stty -g`;
  const session = spawn("script", ["-qec", command, "/dev/null"], {
    env: { ...process.env, KVMSEC_HOME: home.root },
  });
  let seen = "";
  const until = (pattern: RegExp) =>
    new Promise<void>((resolve) => {
      const look = () => pattern.test(seen) && resolve();
      session.stdout.on("data", look);
      look();
    });
  session.stdout.on("data", (text: Buffer) => (seen += text.toString()));
  await until(/leave with Enter ~ \./);
  session.stdin.write("\r");
  await until(/root@tty/);
  // Ctrl-C has to reach the guest, not end kvmsec.
  session.stdin.write("sleep 600\r");
  await sleep(1000);
  session.stdin.write("\x03");
  session.stdin.write("echo $((20+3))tilde~.\r");
  await until(/^23tilde~\.\r?$/m);
  session.stdin.write("~.");
  await once(session, "close");
  assert.match(seen, /Left the console of tty, which runs on\.[^]*status=0/);
  const settings = seen.split(/\r?\n/).filter((line) => /^[0-9a-f]+(:[0-9a-f]+){10,}$/.test(line));
  assert.equal(settings.length, 2);
  assert.equal(settings[0], settings[1]);
  assert.equal(await vmState(openVm("tty", home)), "running");
});
