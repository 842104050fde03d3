import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { tryLockFile } from "../../../src/native/file-lock.ts";
import { hostMemory, requireDisk, requireMemory } from "../../../src/vm/host-room.ts";
import { timeStampKhz } from "../../../src/vm/host-clock.ts";
import { isRunning, processIdentity, signalProcess } from "../../../src/vm/process-identity.ts";
import { runTool, tryTool } from "../../../src/vm/run-tool.ts";

/** Reads the files of a host that has only these. */
const host = (files: Record<string, string>) => (path: string) =>
  Object.entries(files).find(([name]) => path.endsWith(name))?.[1];

test("a process is itself only with its start time and its boot", async () => {
  const child = spawn("sleep", ["60"]);
  const identity = processIdentity(child.pid!)!;
  assert.ok(isRunning(identity));
  assert.equal(isRunning({ ...identity, startTime: identity.startTime + 1 }), false);
  assert.equal(isRunning({ ...identity, bootId: "another" }), false);
  assert.equal(signalProcess({ ...identity, startTime: 0 }, "SIGKILL"), false);
  assert.ok(isRunning(identity));
  assert.equal(signalProcess(identity, "SIGKILL"), true);
  await once(child, "exit");
  assert.equal(isRunning(identity), false);
});

test("a lock is held once, and falls with its holder, also when that is killed", async () => {
  const folder = mkdtempSync(join(tmpdir(), "kvmsec-lock-"));
  const path = join(folder, "lock");
  {
    using lock = tryLockFile(path);
    assert.ok(lock !== undefined);
    assert.equal(tryLockFile(path), undefined);
  }
  const holder = spawn("flock", [path, "-c", "echo held; exec sleep 60"], { detached: true });
  await once(holder.stdout, "data");
  assert.equal(tryLockFile(path), undefined);
  process.kill(-holder.pid!, "SIGKILL");
  await once(holder, "exit");
  // Its child holds the same open file, and may end a moment later.
  let again = tryLockFile(path);
  for (let tries = 0; again === undefined && tries < 500; tries++) {
    await setTimeout(20);
    again = tryLockFile(path);
  }
  assert.ok(again !== undefined);
  again[Symbol.dispose]();
  rmSync(folder, { recursive: true });
});

test("memory and disk that are not there are refused with numbers", () => {
  const { total, available } = hostMemory();
  assert.ok(available > 0 && available <= total);
  const stated = Number(/MemTotal:\s+(\d+)/.exec(readFileSync("/proc/meminfo", "utf8"))![1]) * 1024;
  assert.ok(total <= stated);
  requireMemory(1);
  assert.throws(() => requireMemory(total), {
    code: "KVMSEC_HOST_MEMORY",
    message: new RegExp(`${Math.floor(total / 2 ** 20)} MiB`),
  });
  requireDisk(tmpdir(), 1, "nothing");
  assert.throws(() => requireDisk(tmpdir(), 2 ** 60, "a moon"), { code: "KVMSEC_HOST_DISK" });
});

test("the time-stamp counter's speed is taken from the best that the host says", () => {
  const cpuinfo = "model name\t: Xeon @ 2.60GHz\ncpu MHz\t\t: 1200.123\n";
  assert.equal(timeStampKhz(host({ nominal_freq: "2445", cpuinfo })), 2_445_000);
  assert.equal(timeStampKhz(host({ base_frequency: "2100000", cpuinfo })), 2_100_000);
  assert.equal(timeStampKhz(host({ cpuinfo })), 2_600_000);
  assert.equal(timeStampKhz(host({ cpuinfo: "cpu MHz\t\t: 1200.123\n" })), 1_200_123);
  assert.equal(timeStampKhz(host({})), undefined);
});

test("tools: status and words come back, absence and failure are coded, a signal ends them", async () => {
  const lines: string[] = [];
  const result = await tryTool("sh", ["-c", "echo out; echo one >&2; echo two >&2; exit 3"], {
    onLine: (line) => lines.push(line),
  });
  assert.deepEqual(result, { status: 3, stdout: "out\n", stderr: "one\ntwo\n" });
  assert.deepEqual(lines, ["one", "two"]);
  await assert.rejects(runTool("kvmsec-no-such-tool", []), { code: "KVMSEC_TOOL_MISSING" });
  await assert.rejects(runTool("sh", ["-c", "echo why >&2; exit 1"]), {
    code: "KVMSEC_TOOL_FAILED",
    message: /why/,
  });
  await assert.rejects(runTool("sh", ["-c", "echo 'write: No space left on device' >&2; exit 1"]), {
    code: "KVMSEC_HOST_DISK",
  });
  const controller = new AbortController();
  const long = runTool("sleep", ["60"], { signal: controller.signal });
  controller.abort();
  await assert.rejects(long, { code: "KVMSEC_INTERRUPTED" });
});
