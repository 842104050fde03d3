import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";
import { TemporaryFolder } from "../../fixtures/temporary.ts";
import { kernel, kernelName } from "./debian-kernel.ts";
import { guestMatrix, parseKernel } from "./guest-matrix.ts";

test("every trait appears in the small matrix", () => {
  const guests = guestMatrix("small");
  const seen = (trait: "machine" | "ram" | "cpus") =>
    new Set(guests.map(({ hardware }) => hardware[trait]));
  assert.deepEqual(new Set(guests.map(({ levels }) => levels)), new Set([5, 4]));
  assert.deepEqual(seen("machine"), new Set(["q35", "pc", "microvm"]));
  assert.deepEqual(seen("ram"), new Set(["memfd", "file", "anonymous"]));
  assert.deepEqual(seen("cpus"), new Set([1, 2, 4]));
});

test("a kernel is named by its release, or by the folder that it was unpacked to", async () => {
  assert.deepEqual(parseKernel("sid/rt"), { release: "sid", flavour: "rt" });
  assert.throws(() => parseKernel("sid/desktop"), /sid\/desktop is not/);
  using folder = new TemporaryFolder();
  const modules = join(folder.path, "usr/lib/modules/6.6.6-other");
  const boot = join(folder.path, "boot");
  for (const each of [modules, boot]) mkdirSync(each, { recursive: true });
  for (const name of ["vmlinuz", "config"]) writeFileSync(join(boot, `${name}-6.6.6-other`), "");
  const wish = parseKernel(folder.path);
  const { version, vmlinuz, release } = await kernel(wish);
  assert.equal(kernelName(wish), basename(folder.path));
  assert.deepEqual([version, release], ["6.6.6-other", undefined]);
  assert.equal(vmlinuz, join(boot, "vmlinuz-6.6.6-other"));
  // modprobe finds nothing without it, and looks for it in /lib.
  assert.ok(existsSync(join(folder.path, "lib/modules/6.6.6-other/modules.dep")));
  mkdirSync(join(modules, "../6.6.7-other"));
  await assert.rejects(kernel(wish), /has to hold the modules of one kernel/);
});
