import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connectQmp } from "../../src/qmp/connection.ts";
import { runJob } from "../../src/qmp/jobs.ts";
import { commandsInUse } from "../../scripts/qmp-commands-in-use.ts";

const folder = mkdtempSync(join(tmpdir(), "kvmsec-qmp-vm-"));
// Longer than a socket address holds, so that both ends must work around it.
const deep = join(folder, "d".repeat(100));
let qemu: ChildProcess;

before(async () => {
  mkdirSync(deep);
  qemu = spawn(
    "qemu-system-x86_64",
    (
      "-machine q35,accel=tcg -m 64M -nodefaults -display none -S " +
      "-device virtio-net-pci,netdev=n0,id=net0 -netdev user,id=n0,restrict=on " +
      "-blockdev null-co,node-name=d0,size=1048576 " +
      "-qmp unix:one,server=on,wait=off -qmp unix:two,server=on,wait=off"
    ).split(" "),
    { cwd: deep, stdio: ["ignore", "inherit", "inherit"] },
  );
  while (!existsSync(join(deep, "two"))) await sleep(10);
});

after(async () => {
  if (qemu.exitCode === null) {
    qemu.kill();
    await once(qemu, "exit");
  }
  rmSync(folder, { recursive: true, force: true });
});

test("a stock QEMU answers, on both monitors at once, through a path longer than an address", async () => {
  using one = await connectQmp(join(deep, "one"));
  using two = await connectQmp(join(deep, "two"));
  const version = await one.execute("query-version");
  assert.deepEqual(version, one.version);
  const { running, status } = await one.execute("query-status");
  assert.deepEqual({ running, status }, { running: false, status: "prelaunch" });
  const resumed = two.waitFor("RESUME");
  await one.execute("cont");
  await resumed;
  assert.equal((await two.execute("query-status")).status, "running");
  await one.execute("set_link", { name: "net0", up: false });
  assert.match(await one.human("info network"), /net0/);
  const cpus = await one.execute("query-cpus-fast");
  assert.ok(existsSync(`/proc/${qemu.pid}/task/${cpus[0]!["thread-id"]}`));
});

test("a third client waits until the monitor is free", async () => {
  const first = await connectQmp(join(deep, "one"));
  await assert.rejects(connectQmp(join(deep, "one"), { timeoutMs: 100 }), {
    code: "KVMSEC_QMP_BUSY",
  });
  const second = connectQmp(join(deep, "one"));
  first.close();
  using connection = await second;
  await connection.execute("query-status");
});

test("most commands that have types exist here, and supports() tells which", async () => {
  using connection = await connectQmp(join(deep, "one"));
  const known = new Set((await connection.execute("query-commands")).map(({ name }) => name));
  for (const command of commandsInUse) {
    assert.equal(await connection.supports(command), known.has(command), command);
  }
  await assert.rejects(connection.executeAny("no-such-command"), {
    code: "KVMSEC_QMP_UNSUPPORTED",
  });
});

test("a job that QEMU starts and fails is told as failed, one that succeeds as done", async () => {
  using connection = await connectQmp(join(deep, "one"));
  const target = join(folder, "backup.raw");
  await connection.execute("blockdev-add", {
    driver: "null-co",
    "node-name": "sink",
    size: 2 ** 20,
  });
  await runJob(
    connection,
    "copy",
    () =>
      connection.execute("blockdev-backup", {
        "job-id": "copy",
        device: "d0",
        target: "sink",
        sync: "full",
        "auto-dismiss": false,
      }),
    { timeoutMs: 30_000 },
  );
  assert.deepEqual(await connection.execute("query-jobs"), []);
  await assert.rejects(
    runJob(
      connection,
      "save",
      () =>
        connection.execute("snapshot-save", {
          "job-id": "save",
          tag: "t",
          vmstate: "d0",
          devices: ["d0"],
        }),
      { timeoutMs: 30_000 },
    ),
    { code: "KVMSEC_QMP_COMMAND_FAILED" },
  );
  assert.equal(existsSync(target), false);
});

test("an address that a double cannot hold arrives whole", async () => {
  using connection = await connectQmp(join(deep, "one"));
  const filename = join(folder, "page");
  // Not the last byte: the firmware writes its checksum there while it starts.
  await connection.execute("pmemsave", { val: 0xffff0, size: 15, filename });
  const resetVector = readFileSync(filename);
  assert.equal(resetVector.length, 15);
  // Without paging the CPU's addresses are physical, and QEMU's mask drops the highest bit.
  await connection.execute("memsave", { val: -(2n ** 63n) + 0xffff0n, size: 15, filename });
  assert.deepEqual(readFileSync(filename), resetVector);
  // Older QEMUs take the address as int64 and refuse the rest (measured on 7.2), newer ones as
  // uint64 (measured on 10.0).
  rmSync(filename);
  const upper = { val: 2n ** 63n + 0xffff0n, size: 15, filename };
  const refusal = await connection.execute("memsave", upper).catch((error: unknown) => error);
  if (existsSync(filename)) assert.deepEqual(readFileSync(filename), resetVector);
  else assert.equal((refusal as { code?: string }).code, "KVMSEC_QMP_COMMAND_FAILED");
});

test("quit ends the connection with QEMU's reason", async () => {
  const exit = once(qemu, "exit");
  using watcher = await connectQmp(join(deep, "two"));
  using connection = await connectQmp(join(deep, "one"));
  await connection.execute("quit");
  const end = await watcher.ended;
  assert.equal(end.byUs, false);
  assert.equal(end.shutdown?.reason, "host-qmp-quit");
  await exit;
});
