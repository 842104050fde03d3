import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { existsSync, fstatSync, ftruncateSync, readFileSync, writeSync } from "node:fs";
import { test } from "node:test";
import { VmRam, freshRam, removeAllRam } from "../../../src/vm/vm-ram.ts";
import type { VmConfig } from "../../../src/vm/vm-state.ts";

const size = 2 ** 20;

function config(ram: VmConfig["ram"]): VmConfig {
  return { ram, memoryBytes: size, uuid: randomUUID() } as VmConfig;
}

test("a memfd is inherited by its number, and nobody can cut it short", () => {
  using ram = freshRam(config("memfd"));
  assert.ok(ram !== undefined);
  assert.deepEqual([ram.path, ram.memPath, ram.inherited], [undefined, "/proc/self/fd/3", ram.fd]);
  assert.equal(fstatSync(ram.fd).size, size);
  for (const other of [0, size - 1, size + 1]) {
    assert.throws(() => ftruncateSync(ram.fd, other), { code: "EPERM" });
  }
});

test("a file that is being prepared leaves the one in use alone, and goes when it is not needed", () => {
  const vm = config("file");
  using used = freshRam(vm);
  assert.ok(used?.path !== undefined);
  writeSync(used.fd, "in use");
  const left = () => readFileSync(used.path ?? "").toString("latin1", 0, 6);
  {
    using spare = VmRam.make(vm);
    assert.ok(existsSync(spare.memPath));
    assert.equal(left(), "in use");
  }
  {
    using next = VmRam.make(vm);
    assert.equal(existsSync(`${used.path}.next`), true);
    writeSync(next.fd, "next  ");
    next.takePlace();
    assert.equal(next.path, used.path);
    assert.equal(next.inherited, undefined);
  }
  assert.equal(left(), "next  ");
  removeAllRam(vm);
  assert.equal(existsSync(used.path), false);
});

test("RAM that is private to QEMU is made by QEMU", () => {
  assert.equal(freshRam(config("anonymous")), undefined);
});
