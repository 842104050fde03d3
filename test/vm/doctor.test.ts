import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { probeAccelerator } from "../../src/vm/accelerator.ts";
import type { Diagnosis } from "../../src/vm/doctor/doctor.ts";

const root = resolve(import.meta.dirname, "../..");
const launcher = join(root, "bin/kvmsec.js");

type Document = Diagnosis & { schema: string; checks: Diagnosis["abilities"] };

function parse(text: string): Document {
  return JSON.parse(text) as Document;
}

function check(document: Document, id: string): Diagnosis["abilities"][number] {
  return document.checks.find((one) => one.id === id)!;
}

const exits = { yes: 0, partly: 4, no: 3 } as const;

test("doctor --json says of this host what the host says of itself", async () => {
  const result = spawnSync(process.execPath, [launcher, "doctor", "--json"], { encoding: "utf8" });
  const document = parse(result.stdout);
  assert.equal(result.status, exits[document.ready], result.stderr);
  assert.equal(document.schema, "kvmsec.doctor/1");
  const version = /version (\S+)/.exec(
    spawnSync("qemu-system-x86_64", ["--version"], { encoding: "utf8" }).stdout,
  )![1];
  assert.match(check(document, "qemu").found, new RegExp(`^QEMU ${version}\\b`));
  assert.equal(document.host.kernel, readFileSync("/proc/sys/kernel/osrelease", "utf8").trim());
  const { kvm } = await probeAccelerator();
  assert.equal(check(document, "accelerator").status, kvm === "works" ? "ok" : "warning");
  for (const one of document.checks) {
    if (one.status !== "ok") assert.ok(one.meaning, `${one.id}: ${one.found}`);
  }
});

test("text names every check, and the command of each mend stands on a line of its own", () => {
  const json = spawnSync(process.execPath, [launcher, "doctor", "--json"], { encoding: "utf8" });
  const text = spawnSync(process.execPath, [launcher, "doctor"], { encoding: "utf8" });
  assert.equal(text.status, json.status);
  for (const { title, status, mend } of parse(json.stdout).checks) {
    assert.match(text.stdout, new RegExp(`^${status} +${title} `, "m"));
    if (mend !== undefined) assert.ok(text.stdout.includes(`→ ${mend}\n`));
  }
});

test(
  "an ordinary user gets an answer too",
  { skip: process.geteuid?.() === 0 ? false : "only root can become another user" },
  (context) => {
    const nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    const seen = spawnSync("setpriv", [...nobody, "test", "-r", launcher]);
    if (seen.status !== 0) return context.skip("the checkout is not readable for others");
    const argv = [...nobody, process.execPath, launcher, "doctor", "--json"];
    const env = { ...process.env, HOME: "/nonexistent", XDG_RUNTIME_DIR: "/nonexistent" };
    const result = spawnSync("setpriv", argv, { encoding: "utf8", env });
    const document = parse(result.stdout);
    assert.equal(result.status, exits[document.ready], result.stderr);
    assert.equal(document.host.user, "nobody");
    // Without subordinate ids it can build no image, and the answer says how to get them.
    assert.match(check(document, "user-namespaces").mend ?? "", /^sudo (usermod|sysctl|apt-get)/);
  },
);
