import assert from "node:assert/strict";
import { test } from "node:test";
import { controlGuest } from "../../src/response/guest-control.ts";
import { Journal } from "../../src/response/journal.ts";
import { RamWriter } from "../../src/response/ram-writer.ts";
import { attach } from "../../src/vm/guest.ts";
import { openHome } from "../../src/vm/home.ts";
import { kernel as debianKernel } from "./harness/debian-kernel.ts";
import { about, Guard, is } from "./harness/guard.ts";
import { bootTiny } from "./harness/guest.ts";

const WATCHMAN = "sleep 86400";
/** Two checks speak of it: its file is gone, and it has a kernel thread's name. It never sleeps. */
const INTRUDER = [
  "cp /usr/bin/busybox /tmp/busybox",
  "{ /tmp/busybox sh -c 'printf kthreadd > /proc/$$/comm; while :; do :; done' > /dev/null 2>&1 < /dev/null & }",
  "pid=$!",
  'until [ "$(cat /proc/$pid/comm)" = kthreadd ]; do sleep 0.1; done',
  "rm /tmp/busybox",
  "echo $pid",
].join("; ");

test("the guard goes on over a reboot, ends what it is told to end, and boots anew what lost its watchman", async (t) => {
  const kernel = await debianKernel({ release: "bookworm", flavour: "cloud" });
  await using guest = await bootTiny({ kernel, cpus: 1, ram: "file", reboot: true });
  await using guard = new Guard([
    "vms: false",
    `targets: ["pid:${guest.pid}"]`,
    "approval: []",
    `liveness: [{name: watchman, comm: sleep, cmdline: '${WATCHMAN}'}]`,
    "rules:",
    "  - name: end-it",
    "    when: {checks: [vanished-program, kernel-thread-impostor]}",
    "    do: [alert, kill-process]",
    "  - {name: boot-it, when: {checks: [liveness]}, do: [alert, restart]}",
  ]);
  const actions = (): unknown[] =>
    new Journal(openHome({ KVMSEC_HOME: guard.home }))
      .read()
      .filter(({ kind }) => kind === "begin")
      .map(({ data }) => data["action"]);
  const tamper = async (): Promise<void> => {
    const target = `pid:${guest.pid}`;
    using attached = await attach(target);
    const { kernel: own } = attached;
    // Not taken back: after the reboot something else lies there.
    using ram = new RamWriter(controlGuest(openHome({ KVMSEC_HOME: guard.home }), target));
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(own.space.folding.unfold(own.requireSymbol("commit_creds")));
    for (const write of ram.plan(own, own.requireSymbol("sys_call_table") + 139 * 8, bytes)) {
      ram.write(write, bytes);
    }
  };
  const watchman = `setsid ${WATCHMAN} > /dev/null 2>&1 < /dev/null &`;
  await guest.run(watchman);

  await t.test(
    "a reboot is told once, and what was found in the old boot is resolved",
    async () => {
      guard.start();
      await guard.until(is("watching"));
      await tamper();
      const found = await guard.until(about("syscall-table", "new"));
      const back = guest.nextBoot();
      await guest.qmp("system_reset");
      await guard.until(is("guest-state", { state: "rebooted" }), found.sequence);
      await back;
      await guest.run(watchman);
      await guard.until(about("syscall-table", "resolved"), found.sequence);
      assert.equal(guard.events().filter(is("guest-state", { state: "rebooted" })).length, 1);
      assert.deepEqual(guard.events().filter(is("scanner-ended")), []);
    },
  );

  await t.test("of the reactions decided, kill-process ends the process and no other", async () => {
    const before = guard.last;
    const pid = Number(await guest.run(INTRUDER));
    const done = await guard.until(
      is("reaction", { reaction: "kill-process", state: "done" }),
      before,
    );
    const { processes } = done.data["outcome"] as { processes: { pid: number; outcome: string }[] };
    assert.deepEqual(
      processes.map((one) => [one.pid, one.outcome]),
      [[pid, "dead"]],
    );
    assert.equal((await guest.run(`test -d /proc/${pid} || echo gone`)).trim(), "gone");
    await guard.until(about("vanished-program", "resolved"), before);
    assert.match(await guest.run("pidof sleep"), /\d/);
    assert.deepEqual(actions(), ["kill-process"]);
  });

  await t.test(
    "a watchman that was killed is missed, and the policy followed: restart",
    async () => {
      const before = guard.last;
      const back = guest.nextBoot();
      await guest.run("kill $(pidof sleep)");
      const { data } = await guard.until(about("liveness", "new"), before);
      assert.match(JSON.stringify(data), /0 processes of watchman are alive/);
      await guard.until(is("alert", { rule: "boot-it" }), before);
      await guard.until(is("reaction", { reaction: "restart", state: "done" }), before);
      await back;
      await guard.until(is("guest-state", { state: "rebooted" }), before);
      await guest.run(watchman);
      await guard.until(about("liveness", "resolved"), before);
      assert.deepEqual(actions(), ["kill-process", "restart"]);
    },
  );

  assert.equal(await guard.end("SIGTERM"), 0);
  const verified = await guard.run("events", "--verify", "--json");
  assert.equal(verified.status, 0, verified.stdout);
});
