import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Finding, Host, Probe } from "../../src/vm/doctor/check.ts";
import { diagnose, probes } from "../../src/vm/doctor/doctor.ts";
import { virtualizationModule } from "../../src/vm/doctor/processor.ts";
import { qemu } from "../../src/vm/doctor/qemu.ts";
import { disk, judgeRoom } from "../../src/vm/doctor/room.ts";

const folder = mkdtempSync(join(tmpdir(), "kvmsec-doctor-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const host: Host = {
  root: false,
  user: "ann",
  apt: true,
  qemu: "qemu-system-x86_64",
  environment: {},
};

function probe(finding: Finding, essential = false): Probe {
  return { id: "x", title: "x", essential, look: () => finding };
}

const good: Finding = { status: "ok", found: "there" };
const slow: Finding = { status: "warning", found: "slow" };
const gone: Finding = { status: "missing", found: "gone" };

const ready = async (...list: Probe[]) => (await diagnose(host, list)).ready;

test("ready: yes with warnings, partly without a part, no without an essential one", async () => {
  assert.equal(await ready(probe(good, true), probe(slow, true), probe(slow)), "yes");
  assert.equal(await ready(probe(good, true), probe(gone)), "partly");
  assert.equal(await ready(probe(gone, true), probe(gone)), "no");
});

test("a probe that fails is told as missing, with the reason", async () => {
  const broken: Probe = {
    id: "x",
    title: "x",
    look: () => {
      throw new Error("EIO");
    },
  };
  const { abilities } = await diagnose(host, [broken]);
  assert.equal(abilities[0]!.status, "missing");
  assert.match(abilities[0]!.found, /EIO/);
});

test("probes have ids of their own", () => {
  const ids = probes.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  for (const id of ids) assert.match(id, /^[a-z][a-z-]*$/);
});

test("a missing QEMU is mended by the package, as the user and the system would have it", async () => {
  const absent = { ...host, qemu: join(folder, "no-qemu") };
  const asUser = await qemu.look(absent);
  assert.equal(asUser.status, "missing");
  assert.equal(asUser.mend, "sudo apt-get install -y --no-install-recommends qemu-system-x86");
  const asRoot = await qemu.look({ ...absent, root: true });
  assert.equal(asRoot.mend, "apt-get install -y --no-install-recommends qemu-system-x86");
  const elsewhere = await qemu.look({ ...absent, apt: false });
  assert.match(elsewhere.mend ?? "", /the package that Debian calls qemu-system-x86/);
});

/** A program in the place of QEMU: a shell script. */
function program(name: string, body: string): Host {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, 0o755);
  return { ...host, qemu: path };
}

/** Answers QMP as a QEMU of that version with those commands. */
function fakeQemu(version: string, commands: readonly string[]): Host {
  const [major, minor, micro] = version.split(".");
  const greeting = `{"QMP":{"version":{"qemu":{"major":${major},"minor":${minor},"micro":${micro}},"package":""},"capabilities":[]}}`;
  const list = JSON.stringify(commands.map((name) => ({ name })));
  return program(
    `qemu-${version}-${commands.length}`,
    [
      `echo '${greeting}'`,
      "while read -r line; do",
      `  id=$(printf '%s' "$line" | sed 's/.*"id": *\\([^,}]*\\).*/\\1/')`,
      "  answer='{}'",
      `  case $line in *query-commands*) answer='${list}' ;; *qom-list-types*) answer='[]' ;; esac`,
      '  echo "{\\"return\\":$answer,\\"id\\":$id}"',
      "done",
    ].join("\n"),
  );
}

test("an old QEMU, and one that lacks commands, are told", async () => {
  const old = await qemu.look(fakeQemu("6.2.0", []));
  assert.deepEqual([old.status, old.found], ["warning", "QEMU 6.2.0"]);
  assert.match(old.meaning ?? "", /older than 7\.2/);
  const poor = await qemu.look(fakeQemu("9.0.1", ["stop", "cont", "query-status"]));
  assert.equal(poor.status, "warning");
  assert.match(poor.meaning ?? "", /capturing/);
  assert.match(poor.meaning ?? "", /RAM as memfd/);
  assert.doesNotMatch(poor.meaning ?? "", /freezing/);
});

test("a QEMU that cannot start says its own words", async () => {
  const broken = program(
    "broken",
    'echo "error while loading shared libraries: libx.so" >&2; exit 127',
  );
  const finding = await qemu.look(broken);
  assert.equal(finding.status, "missing");
  assert.match(finding.found, /libx\.so/);
});

test("room: missing below the least, warning below what is comfortable", () => {
  const need = {
    least: 1024 ** 3,
    comfortable: 4 * 1024 ** 3,
    where: "here",
    meaning: "a guest",
    mend: "make room",
  };
  assert.equal(judgeRoom(2 ** 29, need).status, "missing");
  assert.equal(judgeRoom(2 ** 31, need).status, "warning");
  assert.deepEqual(judgeRoom(2 ** 34, need), { status: "ok", found: "16 GiB free here" });
});

test("disk room is looked at where KVMSEC_HOME will be, though it is not there yet", async () => {
  const home = join(folder, "not/yet/there");
  const finding = await disk.look({ ...host, environment: { KVMSEC_HOME: home } });
  assert.match(finding.found, new RegExp(`for ${home}`));
});

const cpuinfo = (flags: string) => `processor\t: 0\nflags\t\t: fpu ${flags} sse\nbugs\t\t: vmx\n`;

test("the module for KVM follows the processor's flags", () => {
  assert.equal(virtualizationModule(cpuinfo("vmx")), "kvm_intel");
  assert.equal(virtualizationModule(cpuinfo("svm")), "kvm_amd");
  assert.equal(virtualizationModule(cpuinfo("svm_lock hypervisor")), undefined);
  assert.equal(virtualizationModule(""), undefined);
});
