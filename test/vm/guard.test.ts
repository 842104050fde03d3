import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readTimeline } from "../../src/evidence/read-timeline.ts";
import { verifyPackage } from "../../src/evidence/verify.ts";
import { attach } from "../../src/vm/guest.ts";
import { kvmsec, refusal } from "./command-line.ts";
import { kernel as debianKernel } from "./harness/debian-kernel.ts";
import { about, Guard, is } from "./harness/guard.ts";
import { bootTiny } from "./harness/guest.ts";
import { RamEditor } from "./harness/ram-editor.ts";

const SLOT = 139;

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
    .split(" ")
    .filter(Boolean)
    .map(Number);
}

test("the guard notices, freezes, captures, and goes on after every end", async (t) => {
  const kernel = await debianKernel({ release: "bookworm", flavour: "cloud" });
  await using guest = await bootTiny({ kernel, cpu: "max,la57=off", cpus: 1, ram: "file" });
  const target = `pid:${guest.pid}`;
  await using guard = new Guard([
    "profile: strict",
    "vms: false",
    // It would begin between any two steps.
    "compress: none",
    `targets: ["${target}"]`,
    "liveness: [{name: sleeper, comm: sleep, cmdline: 'sleep 86400'}]",
  ]);
  const run = guard.run.bind(guard);
  const runs = async () => ((await guest.qmp("query-status")) as { running: boolean }).running;
  await guest.run("setsid sleep 86400 > /dev/null 2>&1 < /dev/null &");

  await t.test("an untouched guest is watched, and nothing is found", async () => {
    guard.start();
    await guard.until(is("watching"));
    assert.deepEqual(
      guard
        .events()
        .filter(is("finding"))
        .map(({ data }) => data),
      [],
    );
    assert.equal(refusal(await kvmsec(guard.home, "serve", "--once")), "3 KVMSEC_DAEMON_RUNNING");
  });

  await t.test("a scanner that is killed is told, and another goes on", async () => {
    const before = guard.last;
    const scanner = childrenOf(guard.pid)[0];
    assert.ok(scanner !== undefined);
    process.kill(scanner, "SIGKILL");
    const { data } = await guard.until(is("scanner-ended"), before);
    assert.match(String(data["message"]), /SIGKILL/);
    await guest.run("pkill -f 'sleep 86400' || kill $(pidof sleep)");
    const ended = await guard.until(about("liveness", "new"), before);
    await guest.run("setsid sleep 86400 > /dev/null 2>&1 < /dev/null &");
    await guard.until(about("liveness", "resolved"), ended.sequence);
    assert.equal(await runs(), true);
  });

  await t.test("a new configuration is taken at once, a broken one is not", async () => {
    const before = guard.last;
    guard.configure("dryRun: true");
    process.kill(guard.pid, "SIGHUP");
    const { data } = await guard.until(is("config-loaded"), before);
    assert.deepEqual(data["changed"], ["dryRun"]);
    guard.configure("dryRun: perhaps");
    assert.equal(refusal(await kvmsec(guard.home, "config", "reload")), "3 KVMSEC_CONFIG_INVALID");
    await guard.until(is("config-rejected"), before);
    guard.configure();
    const { status } = await kvmsec(guard.home, "config", "reload");
    assert.equal(status, 0);
    assert.equal(guard.events().filter(is("config-loaded")).length, 2);
  });

  await t.test(
    "the life of a finding can be asked for, and a person can acknowledge it",
    async () => {
      const listed = await kvmsec(guard.home, "findings", "--all", "--json");
      const { findings } = JSON.parse(listed.stdout) as {
        findings: { id: string; state: string; finding: { check: string } }[];
      };
      const life = findings.find(({ finding }) => finding.check === "liveness");
      assert.equal(life?.state, "resolved");
      assert.equal(
        refusal(await kvmsec(guard.home, "findings", "ack", life.id, "--note", "late")),
        "2 KVMSEC_FINDING_RESOLVED",
      );
      const before = guard.last;
      await guest.run("kill $(pidof sleep)");
      await guard.until(about("liveness", "reopened"), before);
      const note = ["--note", "replaced by hand", "--by", "ops"];
      assert.equal((await kvmsec(guard.home, "findings", "ack", life.id, ...note)).status, 0);
      const { data } = await guard.until(is("finding-acknowledged"), before);
      assert.deepEqual([data["by"], data["note"]], ["ops", "replaced by hand"]);
      assert.equal((await kvmsec(guard.home, "findings")).status, 0);
      await guest.run("setsid sleep 86400 > /dev/null 2>&1 < /dev/null &");
      await guard.until(about("liveness", "resolved"), before);
      const shown = await kvmsec(guard.home, "findings", "show", life.id, "--json");
      const [one] = (JSON.parse(shown.stdout) as { findings: { life: { event: string }[] }[] })
        .findings;
      const events = one?.life.map(({ event }) => event).filter((event) => event !== "persisting");
      assert.deepEqual(events, ["new", "resolved", "reopened", "acknowledged", "resolved"]);
    },
  );

  await t.test("a baseline tells what was added and changed, until it is accepted", async () => {
    assert.equal(refusal(await run("baseline", "diff", target)), "2 KVMSEC_BASELINE_MISSING");
    assert.equal((await run("baseline", "create", target)).status, 0);
    assert.equal(refusal(await run("baseline", "create", target)), "2 KVMSEC_BASELINE_EXISTS");
    assert.equal((await run("baseline", "diff", target)).status, 0);
    await guest.run(
      "cat /proc/sys/kernel/core_pattern > /tmp/before; echo 'core.%e' > /proc/sys/kernel/core_pattern",
    );
    await guest.run("setsid nc -l -p 4444 > /dev/null 2>&1 < /dev/null &");
    await guest.run("while ! grep -q ':115C' /proc/net/tcp /proc/net/tcp6; do sleep 0.1; done");
    const only = ["--only", "helper-programs", "--baseline", "--json"];
    const checked = await run("check", target, ...only);
    assert.equal(checked.status, 1, checked.stderr);
    const { findings } = JSON.parse(checked.stdout) as {
      findings: { severity: string; subject: { kind: string; key: string; change: string } }[];
    };
    const told = findings.map(
      ({ severity, subject: { kind, change } }) => `${severity} ${change} ${kind}`,
    );
    assert.deepEqual(told.toSorted(), ["high changed helper", "medium new listener"]);
    const helper = ["--item", "helper:core_pattern", "--note", "as we want it"];
    assert.equal((await run("baseline", "accept", target, ...helper)).status, 0);
    const left = await run("baseline", "diff", target);
    assert.equal(left.status, 1);
    assert.match(left.stdout, /^new listener:\S+ tcp \S*:4444 \S*busybox$/m);
    assert.doesNotMatch(left.stdout, /helper/);
    await guest.run("kill $(pidof nc); cat /tmp/before > /proc/sys/kernel/core_pattern");
  });

  using attached = await attach(target);
  using editor = new RamEditor(guest, attached.kernel);
  await t.test(
    "tampering freezes it; killed in the capture, the guard takes it up again",
    async () => {
      const table = attached.kernel.requireSymbol("sys_call_table");
      editor.writePointer(table + SLOT * 8, attached.kernel.requireSymbol("commit_creds"));
      await guard.until(is("reaction", { reaction: "capture", state: "begun" }));
      await guard.end("SIGKILL");
      assert.equal(await runs(), false);
      guard.start();
      const { data } = await guard.until(is("reaction", { reaction: "capture", state: "done" }));
      const packages = readdirSync(guard.evidence);
      assert.deepEqual(
        packages.map((name) => join(guard.evidence, name)),
        [data["folder"]],
      );
      const folder = String(data["folder"]);
      assert.deepEqual((await verifyPackage(folder)).faults, []);
      const told = (await readTimeline(folder))?.entries.map(({ kind, text }) => `${kind} ${text}`);
      for (const entry of [/^finding new: /, /^decision rule /, /^reaction freeze: done$/]) {
        assert.ok(
          told?.some((line) => entry.test(line)),
          `${entry}`,
        );
      }
      assert.equal(await runs(), false);
    },
  );

  await t.test("killed again and started again, it repeats nothing", async () => {
    await guard.end("SIGKILL");
    const before = guard.last;
    guard.start();
    await guard.until(is("watching"), before);
    assert.equal(await guard.end("SIGTERM"), 0);
    const told = guard.events().slice(before);
    assert.deepEqual(
      told.map(({ kind }) => kind),
      ["daemon-started", "guest-found", "watching", "sweeps", "daemon-stopped"],
      JSON.stringify(told.filter(is("finding"))),
    );
    assert.deepEqual([guard.done("freeze"), guard.done("capture")], [1, 1]);
    const verified = await kvmsec(guard.home, "events", "--verify", "--json");
    assert.equal(verified.status, 0);
    assert.equal(JSON.parse(verified.stdout).events, guard.last);
  });

  await t.test("a QEMU that is killed is an abnormal end", async () => {
    const before = guard.last;
    guard.start();
    await guard.until(is("watching"), before);
    process.kill(guest.pid, "SIGKILL");
    const { data } = await guard.until(is("guest-ended"), before);
    assert.equal(data["ordered"], false);
    await guard.until((event) => event.kind === "alert" && "ended" in event.data, before);
    assert.equal(await guard.end("SIGTERM"), 0);
  });
});
