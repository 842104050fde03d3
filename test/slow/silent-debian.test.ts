import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { checks } from "../../src/checks/registry.ts";
import { sweep } from "../../src/checks/sweep.ts";
import { findKernelFiles } from "../../src/files/kernel-files.ts";
import { attach } from "../../src/vm/guest.ts";
import type { Guest as Attached } from "../../src/vm/guest.ts";
import { readProcessors } from "../../src/vm/processors.ts";
import type { Look } from "../vm/harness/all-checks.ts";
import { bootDebian } from "../vm/harness/debian-guest.ts";
import { quote } from "../vm/harness/guest.ts";
import type { Guest } from "../vm/harness/guest.ts";
import { harmlessCauses } from "../vm/harness/harmless.ts";
import { loginCauses, runtimeCauses } from "../vm/harness/login-causes.ts";
import { networkCauses, packageCauses } from "../vm/harness/network-causes.ts";
import { ownModules } from "../vm/harness/own-modules.ts";
import { diskCauses, powerCauses, tracingCauses } from "../vm/harness/server-causes.ts";
import { serverPackages } from "../vm/harness/server-packages.ts";
import { SilenceLog } from "../vm/harness/silence-log.ts";
import { sweepWhileBooting } from "../vm/harness/sweep-while-booting.ts";

/** KVMSEC_TEST_CAUSES chooses some by a pattern of their titles. */
const WANTED = new RegExp(process.env["KVMSEC_TEST_CAUSES"] ?? "");
const guests = [
  { release: "bookworm", flavour: "cloud", image: "bookworm" },
  { release: "trixie", flavour: "generic", image: "trixie" },
  { release: "trixie-backports", flavour: "cloud", image: "trixie" },
] as const;

const causes = [
  ...loginCauses,
  ...networkCauses,
  ...runtimeCauses,
  ...tracingCauses,
  ...harmlessCauses,
  ...diskCauses,
  ...powerCauses,
  ...packageCauses,
].filter(({ title }) => WANTED.test(title));

/** A guest without hardware support, on a busy machine, takes its time. */
const PATIENCE = 1_800_000;
const BETWEEN_MS = 250;
const LEAST = 3;
const WITHOUT_FILES = 5;

for (const { release, flavour, image } of guests) {
  test(`what servers do all day is no finding: ${release}/${flavour}`, async (t) => {
    const log = new SilenceLog();
    const name = `silent-${release}-${process.pid}`;
    const options = { ram: "file", memory: "1536M", cpus: 2, reboot: true, name } as const;
    const booting = bootDebian({ release, flavour, packages: serverPackages[image], ...options });
    const during = await sweepWhileBooting(booting, name, log, "boot");
    await using booted = await booting;
    const { guest } = booted;
    t.diagnostic(`${during} sweeps while it booted; seen in part: ${log.partly}`);
    log.assertSilent();
    await setUp(guest);
    using first = await attach(`pid:${guest.pid}`);
    const look = lookerOf(guest, first);
    for (const { title, commands } of causes) {
      await t.test(title, (inner) => silentWhile(inner, look, () => inBash(guest, commands)));
    }
    await t.test("a state of the machine saved and put back", async (inner) => {
      await silentWhile(inner, look, () => saveAndRestore(guest));
    });
    await t.test("reboots, by the firmware and by kexec", async (inner) => {
      await guest.reboot();
      await silentAnew(inner, guest);
      await kexec(guest);
      await silentAnew(inner, guest);
    });
  });
}

/** All checks; code is compared with the files on the guest's disk, now and then judged by its forms. */
function lookerOf(guest: Guest, attached: Attached): Look {
  const files = findKernelFiles(attached, { kernelFile: guest.options.kernel.vmlinuz });
  let looks = 0;
  return async () =>
    looks++ % WITHOUT_FILES === WITHOUT_FILES - 1
      ? sweep(attached.kernel, checks)
      : sweep(attached.kernel, checks, { ...files, ...(await readProcessors(attached)) });
}

/** Sweeps as long as the work lasts, and then once more. */
async function silentWhile(
  t: TestContext,
  look: Look,
  work: () => Promise<unknown>,
): Promise<void> {
  const log = new SilenceLog();
  const state = { running: true };
  const done = work().finally(() => {
    state.running = false;
  });
  // Told of below; a failure must not end the test from elsewhere meanwhile.
  done.catch(() => {});
  while (state.running || log.sweeps < LEAST) {
    log.add(await look(), `look ${log.sweeps}`);
    await pause(BETWEEN_MS);
  }
  log.add(await look(), "afterwards");
  t.diagnostic(`${log.sweeps} sweeps; seen in part: ${log.partly}`);
  log.assertSilent();
  await done;
}

async function inBash(guest: Guest, commands: string): Promise<void> {
  await guest.run(`bash -eu -c ${quote(commands)}`, { timeout: PATIENCE });
}

/** Somebody who comes after a reboot. */
async function silentAnew(t: TestContext, guest: Guest): Promise<void> {
  using attached = await attach(`pid:${guest.pid}`);
  await silentWhile(t, lookerOf(guest, attached), () => guest.run("sleep 5"));
}

async function setUp(guest: Guest): Promise<void> {
  const { kernel } = guest.options;
  await guest.put("/root/busybox", readFileSync("/bin/busybox"), 0o755);
  const modules = await ownModules(kernel).catch(() => undefined);
  const livepatch = modules === undefined ? undefined : join(modules, "livepatch.ko");
  if (livepatch !== undefined && existsSync(livepatch)) {
    await guest.put("/root/livepatch.ko", readFileSync(livepatch));
  }
  await guest.run(
    `useradd -m -s /bin/bash alice; echo 'alice ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/alice
    mkdir -p /root/.ssh ~alice/.ssh; ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
    ssh-keygen -A; cp /root/.ssh/id_ed25519.pub ~alice/.ssh/authorized_keys
    chown -R alice: ~alice/.ssh; ip link set lo up`,
    { timeout: PATIENCE },
  );
}

/** What was started after the state was saved is gone, and was never there. */
async function saveAndRestore(guest: Guest): Promise<void> {
  assert.equal(await guest.hmp("savevm silent"), "");
  await guest.run(
    "sleep 1000 & modprobe dummy; echo 'p:later vfs_read' > /sys/kernel/tracing/kprobe_events",
  );
  assert.equal(await guest.hmp("loadvm silent"), "");
  await guest.run(
    "sleep 3; ! pgrep -f '^sleep 1000' && ! grep -q later /sys/kernel/tracing/kprobe_events",
  );
  await guest.hmp("delvm silent");
}

/** The kernel of the disk, started by the running one. */
async function kexec(guest: Guest): Promise<void> {
  await guest.run(
    "kexec -s -l /boot/vmlinuz-$(uname -r) --initrd=/boot/initrd.img-$(uname -r) --append='root=/dev/vda rw console=ttyS0 no_timer_check'",
    { timeout: PATIENCE },
  );
  await guest.reboot("kexec -e");
}
