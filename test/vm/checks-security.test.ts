import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { checks } from "../../src/checks/registry.ts";
import { sweep } from "../../src/checks/sweep.ts";
import type { Sweep } from "../../src/checks/sweep.ts";
import { apparmorState } from "../../src/linux/apparmor.ts";
import { attach } from "../../src/vm/guest.ts";
import { apparmorProfiles } from "./harness/apparmor-profiles.ts";
import { assertClean, assertFound } from "./harness/check-story.ts";
import { kernel as debianKernel } from "./harness/debian-kernel.ts";
import { bootTiny } from "./harness/guest.ts";
import type { Guest } from "./harness/guest.ts";
import { helperProgram } from "./harness/helper-program.ts";
import { RamEditor } from "./harness/ram-editor.ts";
import {
  apparmorTamperings,
  auditTamperings,
  lockdownTamperings,
  selinuxTamperings,
} from "./harness/security-tamperings.ts";
import type { SecurityTampering } from "./harness/security-tamperings.ts";

const guests = [
  { release: "bookworm", flavour: "cloud", cpu: "max,la57=off" },
  { release: "trixie", flavour: "generic", cpu: "max" },
] as const;

const IDS = new Set(["taint-and-lockdown", "security-modules"]);
const chosen = checks.filter(({ id }) => IDS.has(id));

/** Tampers while the guest stands still: a kernel that acts on such a state may fall over. */
async function tampered(
  t: TestContext,
  guest: Guest,
  each: SecurityTampering,
  look: () => Sweep,
): Promise<void> {
  await t.test(`${each.check}: ${each.title}`, async (inner) => {
    await guest.qmp("stop");
    const undo = each.tamper();
    try {
      assertFound(inner, each, look);
    } finally {
      undo();
      await guest.qmp("cont");
    }
    assertClean(look());
  });
}

/** What the guest itself does is found as well, and gone when it takes that back. */
async function changed(
  t: TestContext,
  guest: Guest,
  look: () => Sweep,
  { check, says, does, undoes }: { check: string; says: RegExp; does: string; undoes: string },
): Promise<void> {
  await t.test(`${check}: ${does}`, async (inner) => {
    await guest.run(does);
    assertFound(inner, { check, says }, look);
    await guest.run(undoes);
    assertClean(look());
  });
}

for (const { release, flavour, cpu } of guests) {
  test(`AppArmor, audit and lockdown: ${release}/${flavour}`, async (t) => {
    const kernel = await debianKernel({ release, flavour });
    const append = "audit=1 lockdown=integrity module.sig_enforce=1";
    const options = { kernel, cpu, cpus: 1, ram: "file", modules: ["dummy"], append } as const;
    await using guest = await bootTiny(options);
    using attached = await attach(`pid:${guest.pid}`);
    using editor = new RamEditor(guest, attached.kernel);
    const look = (): Sweep => sweep(attached.kernel, chosen);
    await prepare(guest);

    await t.test("nothing is found before", () => assertClean(look()));
    await t.test("profiles are those that the guest lists", async () => {
      const { kernel: seen } = attached;
      const state = apparmorState(seen, seen.budget(), assert.fail);
      const own = await guest.run("cat /sys/kernel/security/apparmor/profiles");
      const shown = state?.profiles.map(({ name, mode }) => `${name} (${mode})`) ?? [];
      assert.deepEqual(shown.toSorted(), own.trim().split("\n").toSorted());
      assert.equal(shown.length, 3);
    });
    for (const each of [
      ...lockdownTamperings(attached, editor),
      ...auditTamperings(attached, editor),
      ...apparmorTamperings(attached, editor),
    ]) {
      await tampered(t, guest, each, look);
    }
    await changed(t, guest, look, {
      check: "security-modules",
      says: /set of audit rules was turned off or taken away.*"low"|"low".*set of audit rules/s,
      does: "/tmp/audit-rules del",
      undoes: "/tmp/audit-rules add",
    });
    await changed(t, guest, look, {
      check: "security-modules",
      says: /profiles that enforce was turned off or taken away/,
      does: "for name in kvmsec-guarded kvmsec-watched; do printf $name > /sys/kernel/security/apparmor/.remove; done",
      undoes: "cat /tmp/profiles > /sys/kernel/security/apparmor/.replace",
    });
    await changed(t, guest, look, {
      check: "taint-and-lockdown",
      says: /kptr_restrict went from 2 to 0/,
      does: "echo 0 > /proc/sys/kernel/kptr_restrict",
      undoes: "echo 2 > /proc/sys/kernel/kptr_restrict",
    });
    await t.test("a taint that nothing explains", async (inner) => {
      await guest.run("echo 8192 > /proc/sys/kernel/tainted");
      const says = /tainted with E while watched, and no module/;
      assertFound(inner, { check: "taint-and-lockdown", says }, look);
    });
  });

  test(`SELinux: ${release}/${flavour}`, async (t) => {
    const kernel = await debianKernel({ release, flavour });
    const append = "security=selinux selinux=1";
    await using guest = await bootTiny({ kernel, cpu, cpus: 1, ram: "file", append });
    using attached = await attach(`pid:${guest.pid}`);
    using editor = new RamEditor(guest, attached.kernel);
    const look = (): Sweep => sweep(attached.kernel, chosen);
    await guest.run("mount -t selinuxfs none /sys/fs/selinux && cd /sys/fs/selinux");
    await guest.run("echo 1 > /sys/fs/selinux/enforce; cat /sys/fs/selinux/status > /dev/null");

    await t.test("nothing is found before", () => assertClean(look()));
    for (const each of selinuxTamperings(attached, editor)) await tampered(t, guest, each, look);
    await changed(t, guest, look, {
      check: "security-modules",
      says: /SELinux's enforcing was turned off/,
      does: "echo 0 > /sys/fs/selinux/enforce",
      undoes: "echo 1 > /sys/fs/selinux/enforce",
    });
  });
}

async function prepare(guest: Guest): Promise<void> {
  const program = readFileSync(await helperProgram("audit-rules"));
  await guest.put("/tmp/audit-rules", program, 0o755);
  await guest.run("/tmp/audit-rules add; echo 2 > /proc/sys/kernel/kptr_restrict");
  await guest.put("/tmp/profiles.gz", Buffer.from(apparmorProfiles, "base64"));
  await guest.run("gzip -d /tmp/profiles.gz");
  await guest.run("cat /tmp/profiles > /sys/kernel/security/apparmor/.load");
}
