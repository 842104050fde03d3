import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { connectQmp } from "../../src/qmp/connection.ts";
import { createVm, listVms, openVm, startVm, stopVm, vmState } from "../../src/vm/guest-vm.ts";
import { writeDocumentFile } from "../../src/vm/home.ts";
import { hostMemory } from "../../src/vm/host-room.ts";
import { isRunning, processIdentity } from "../../src/vm/process-identity.ts";
import { vmPaths } from "../../src/vm/vm-state.ts";
import type { VmRun } from "../../src/vm/vm-state.ts";
import { kvmsec, refusal } from "./command-line.ts";
import { create, home, run, small } from "./small-vms.ts";

const image = (...args: string[]) => kvmsec(home.root, "image", ...args);

test("a QEMU whose starter died before it wrote anything down is found again", async () => {
  await createVm("lost", { image: home.image, ...small }, home);
  const started = await startVm("lost", {}, home);
  rmSync(vmPaths(home, "lost").run);
  const found = openVm("lost", home).run!;
  assert.deepEqual([found.pid, found.startTime], [started.pid, started.startTime]);
  await assert.rejects(startVm("lost", {}, home), { code: "KVMSEC_VM_RUNNING" });
  await stopVm("lost", { force: true }, home);
  assert.equal(isRunning(started), false);
});

test("a process that only has the pid is not taken for the guest, and never ended", async () => {
  await createVm("reused", { image: home.image, ...small }, home);
  const paths = vmPaths(home, "reused");
  const bystander = spawn("sleep", ["600"]);
  try {
    const identity = processIdentity(bystander.pid!)!;
    writeDocumentFile<VmRun>(paths.run, {
      schema: "kvmsec.vm-run/1",
      ...identity,
      startTime: identity.startTime - 1,
      startedAt: "2026-01-01T00:00:00.000Z",
      accelerator: "tcg",
      acceleratorReason: "",
    });
    writeFileSync(paths.pidFile, `${bystander.pid}\n`);
    assert.equal(openVm("reused", home).run, undefined);
    await assert.rejects(stopVm("reused", { force: true }, home), {
      code: "KVMSEC_VM_NOT_RUNNING",
    });
    assert.ok(isRunning(identity));
  } finally {
    bystander.kill("SIGKILL");
  }
});

test("of two starts at once one wins, and the other says that it runs", async () => {
  await createVm("twice", { image: home.image, ...small }, home);
  const results = await Promise.all([run("start", "twice"), run("start", "twice")]);
  const [winner, loser] = results.toSorted((a, b) => a.status - b.status);
  assert.equal(winner!.status, 0, winner!.stderr);
  assert.equal(refusal(loser!), "2 KVMSEC_VM_RUNNING");
});

test("of two makers of one name one wins", async () => {
  const results = await Promise.all([create("same"), create("same"), create("same")]);
  assert.deepEqual(results.map(({ status }) => status).toSorted(), [0, 2, 2]);
  for (const result of results.filter(({ status }) => status !== 0)) {
    assert.equal(refusal(result), "2 KVMSEC_VM_EXISTS");
  }
  assert.deepEqual(
    readdirSync(home.vms).filter((name) => name.startsWith(".")),
    [],
  );
});

test("mistakes are told with their code and exit status", async () => {
  assert.equal(refusal(await run("create", "x", "--image", "nosuch")), "3 KVMSEC_IMAGE_MISSING");
  assert.equal(refusal(await create("a/b")), "2 KVMSEC_NAME_INVALID");
  assert.equal(refusal(await create("x", "--cpus", "4096")), "2 KVMSEC_VM_CPUS");
  assert.equal(refusal(await create("x", "--cpus", "many")), "2 KVMSEC_USAGE");
  assert.equal(refusal(await create("x", "--ram", "paper")), "2 KVMSEC_USAGE");
  assert.equal(refusal(await create("x", "--memory", "1M")), "2 KVMSEC_VM_MEMORY");
  assert.equal(refusal(await create("x", "--memory", "64X")), "2 KVMSEC_SIZE_INVALID");
  assert.equal(refusal(await create("x", "--memory", "900T")), "3 KVMSEC_HOST_MEMORY");
  for (const verb of ["start", "stop", "show", "delete", "console"]) {
    assert.equal(refusal(await run(verb, "nosuch")), "3 KVMSEC_VM_MISSING", verb);
  }
  assert.deepEqual(listVms(home), []);
  const busy = Math.floor(hostMemory().total / 2 ** 20) - 1;
  await createVm("big", { image: home.image, memoryBytes: busy * 2 ** 20 }, home);
  assert.equal(refusal(await run("start", "big")), "3 KVMSEC_HOST_MEMORY");
});

test("an image that a VM stands on is neither removed nor made anew under it", async () => {
  await createVm("stands", { image: home.image, ...small }, home);
  assert.equal(refusal(await image("rm", home.image)), "3 KVMSEC_IMAGE_IN_USE");
  const rebuild = ["build", "debian", "--size", "2G", "--name", home.image, "--rebuild"];
  assert.equal(refusal(await image(...rebuild)), "3 KVMSEC_IMAGE_IN_USE");
  const path = vmPaths(home, "stands").config;
  const config = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, JSON.stringify({ ...config, imageId: "another making" }));
  assert.equal(refusal(await run("start", "stands")), "3 KVMSEC_VM_IMAGE_CHANGED");
});

test("a QEMU that dies at once leaves its last words and nothing else", async () => {
  await create("broken", "--cpu", "no-such-cpu");
  const result = await run("start", "broken");
  assert.equal(refusal(result), "3 KVMSEC_VM_START_FAILED");
  assert.match(result.stderr, /unable to find CPU model 'no-such-cpu'/);
  const paths = vmPaths(home, "broken");
  assert.deepEqual(
    [paths.run, paths.pidFile, paths.operator].filter((path) => existsSync(path)),
    [],
  );
  assert.equal(openVm("broken", home).run, undefined);
});

test("a paused guest cannot be asked to shut down, only ended", async () => {
  await createVm("paused", { image: home.image, ...small }, home);
  await startVm("paused", {}, home);
  const vm = openVm("paused", home);
  {
    using connection = await connectQmp(vm.sockets.operator);
    await connection.execute("stop");
  }
  assert.equal(await vmState(vm), "paused");
  assert.equal(refusal(await run("stop", "paused")), "3 KVMSEC_VM_PAUSED");
  assert.equal((await run("stop", "paused", "--force")).status, 0);
  assert.equal(await vmState(openVm("paused", home)), "stopped");
});

test("a QEMU that does not answer is ended by force all the same", async () => {
  await createVm("stuck", { image: home.image, ...small }, home);
  const started = await startVm("stuck", {}, home);
  process.kill(started.pid, "SIGSTOP");
  assert.equal(await vmState(openVm("stuck", home), 300), "unresponsive");
  await stopVm("stuck", { force: true }, home);
  assert.equal(isRunning(started), false);
});
