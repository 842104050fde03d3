import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { probeAccelerator, runFirmware } from "../../src/vm/accelerator.ts";
import {
  firmwareImage,
  longModeCode,
  longModeInstruction,
  payloadAddress,
} from "../../src/vm/bare-metal-guest.ts";

const qemu = "qemu-system-x86_64";

test("the bare-metal guest runs to its end under TCG, so a failure under KVM is KVM's", async () => {
  assert.equal((await runFirmware(qemu, "tcg")).passed, true);
});

test("the firmware holds the long-mode part where its boot part jumps to", () => {
  const image = firmwareImage();
  assert.equal(image.length, 0x10000);
  const code = longModeCode();
  const at = payloadAddress - 0x8000;
  assert.deepEqual(Buffer.from(image.subarray(at, at + code.length)), Buffer.from(code));
  assert.equal(longModeInstruction(0), "mov $0x7000,%esp");
  assert.equal(longModeInstruction(1), undefined);
});

test("the accelerator named is one that QEMU runs the guest under", async () => {
  const found = await probeAccelerator(qemu);
  assert.equal(found.kvm === "absent", process.arch === "x64" && !existsSync("/dev/kvm"));
  assert.equal((await runFirmware(qemu, found.accelerator)).passed, true);
  assert.equal(found.accelerator === "kvm", found.kvm === "works");
  if (found.kvm === "broken") assert.equal((await runFirmware(qemu, "kvm")).passed, false);
});

test("a QEMU that is missing is an answer, not an exception", async () => {
  const run = await runFirmware("/nonexistent/qemu", "tcg");
  assert.equal(run.passed, false);
  assert.match(run.said, /ENOENT/);
});
