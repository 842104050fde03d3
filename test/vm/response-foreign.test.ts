import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { inspect } from "../../src/daemon/inspect.ts";
import { verifyPackage } from "../../src/evidence/verify.ts";
import { capture } from "../../src/response/capture.ts";
import { respond } from "../../src/response/respond.ts";
import { ps } from "../../src/views/ps.ts";
import { attach } from "../../src/vm/guest.ts";
import { openHome } from "../../src/vm/home.ts";
import { kvmsec, refusal } from "./command-line.ts";
import { kernel as debianKernel } from "./harness/debian-kernel.ts";
import { bootTiny } from "./harness/guest.ts";

test("a guest that kvmsec did not start, with RAM private to its QEMU, is captured whole", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "kvmsec-foreign-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const home = openHome({ KVMSEC_HOME: root });
  const kernel = await debianKernel({ release: "trixie", flavour: "generic" });
  await using guest = await bootTiny({ kernel, ram: "anonymous", cpus: 2 });
  const target = `pid:${guest.pid}`;
  await guest.run("echo a-mark-of-this-guest > /dev/kmsg");
  const folder = join(root, "evidence", "case");

  const { manifest, pauseMs } = await capture(home, target, folder, { inspect });
  assert.ok(pauseMs > 0);
  assert.equal(manifest.facts["method"], "stop-copy-cont");
  assert.match(String(manifest.facts["methodReason"]), /private/);
  assert.equal((await guest.run("echo lives")).trim(), "lives");
  assert.deepEqual((await verifyPackage(folder)).faults, []);

  using core = await attach(`file:${join(folder, "memory.elf")}`);
  assert.equal(core.kernel.identity.release, kernel.version);
  const names = [...ps.read(core.kernel, {}, assert.fail)].map(({ pid }) => pid);
  assert.ok(names.includes(1));
  assert.equal(
    refusal(await kvmsec(root, "evidence", "revive", folder)),
    "3 KVMSEC_REVIVE_FOREIGN",
  );

  const { outcome } = await respond(home, target, "freeze");
  assert.deepEqual(outcome, { before: "running", after: "paused" });
  const again = join(root, "again");
  mkdirSync(again);
  const frozen = await capture(home, `qmp:${guest.paths.qmp}`, again, { inspect });
  assert.equal(frozen.pauseMs, 0);
  await respond(home, target, "resume");
  assert.equal((await guest.run("echo lives")).trim(), "lives");
  await respond(home, target, "kill");
  await guest.ended();
});
