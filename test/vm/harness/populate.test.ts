import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { checkGuest } from "./check-guest.ts";
import type { Guest } from "./guest.ts";
import { bootMatrixGuest, guestMatrix } from "./guest-matrix.ts";
import { populate, populationModules, type Population } from "./populate.ts";
import { deviceStorm, moduleStorm, storm } from "./storm.ts";

/** The oracles see what the scenarios say they made. */
async function checkPopulation(guest: Guest, population: Population): Promise<void> {
  const pid = (name: string) => {
    const found = population.get(name);
    assert.ok(found !== undefined, `scenario ${name}`);
    return found;
  };
  const of = async (name: string, file: string) => guest.get(`/proc/${pid(name)}/${file}`);
  const text = async (name: string, file: string) => (await of(name, file)).toString();
  const state = async (name: string) => /^State:\s+(\S)/m.exec(await text(name, "status"))?.[1];
  const exe = async (name: string) => (await guest.run(`readlink /proc/${pid(name)}/exe`)).trim();

  const odd = (await of("odd_arguments", "cmdline")).toString("latin1");
  assert.equal(odd, "odd name\0a b\0line\nbreak\0\0\xc3\xa9\xe2\x82\xac\0\xff\xfe\0tab\there\0");
  assert.equal((await of("long_arguments", "cmdline")).length, 5 + 100_000 + 4);
  assert.equal((await of("odd_comm", "comm")).toString("latin1"), "a) R 1\n\x01(\xff%s\n");
  assert.equal(await text("moved_arguments", "cmdline"), "moved title\0");
  assert.equal((await guest.run(`ls /proc/${pid("threads")}/task`)).trim().split("\n").length, 9);
  assert.equal(await state("leaderless"), "Z");
  assert.equal(await state("uninterruptible"), "D");
  assert.match(await text("credentials", "status"), /^Uid:\s+1001\s+1002\s+1003\s+1002$/m);
  assert.match(await text("sandboxed", "status"), /^Seccomp:\s+2$/m);
  assert.equal(await exe("deleted_executable"), "/tmp/was-here (deleted)");
  assert.equal(await exe("memory_executable"), "/memfd:fileless (deleted)");
  assert.equal(await exe("odd_executable"), "/tmp/odd name\n(deleted)");
  assert.match(await guest.run("cat /proc/[0-9]*/status | grep ^NSpid"), /^NSpid:\t\d+\t2\t1$/m);

  const sockets = await guest.run("ss -Hanp -A all");
  for (const port of [7001, 7002, 7003, 7004, 7005, 7006, 7007, 7008, 7009, 7010, 7011, 7021]) {
    if (port !== 7007) assert.match(sockets, new RegExp(`:${port}\\b`), `port ${port}`);
  }
  assert.match(sockets, /CLOSE-WAIT/);
  assert.match(sockets, /FIN-WAIT-2/);
  assert.match(sockets, /u_seq\s+LISTEN[^\n]*\/run\/packets/);
  assert.match(sockets, /@with@zero/);
  assert.match(sockets, /p_raw[^\n]*"packet"/);

  assert.match(await guest.run("findmnt -rno TARGET,SOURCE"), /^\/mnt\/over second$/m);
  assert.match(await guest.run("ip -d address"), /veth7a@if\d+[^]*\n[^]*bridge_slave/);
  assert.match(await guest.run("bpftool prog"), /xdp {2}name pop_xdp/);
  assert.match(await guest.run("bpftool map"), /ringbuf {2}name pop_ring/);
  assert.match(await guest.run("bpftool link"), /cgroup {2}prog \d+/);
  assert.match(await text("cgroup_odd", "cgroup"), /^0::\/odd name$/m);
}

for (const entry of guestMatrix("small")) {
  test(entry.name, async (t) => {
    await using guest = await bootMatrixGuest(entry, { modules: populationModules });
    await t.test("is what was asked for", () => checkGuest(guest, entry));
    await t.test("is populated", async () => checkPopulation(guest, await populate(guest)));
  });
}

test("storms blow until they are disposed", async () => {
  const [entry] = guestMatrix("small");
  const extra = { cpus: 2, modules: ["dummy"], availableModules: ["isofs", "loop"] };
  await using guest = await bootMatrixGuest(entry, extra);
  const forks = async () =>
    Number(/^processes (\d+)/m.exec(await guest.run("cat /proc/stat"))?.[1]);
  const before = await forks();
  {
    await using all = await storm(guest, ["fork", "thread", "map", "socket", "file", "mount"]);
    await using modules = moduleStorm(guest, ["isofs", "loop"]);
    await using devices = deviceStorm(guest);
    assert.ok(all !== modules && modules !== devices);
    while ((await forks()) < before + 500) await sleep(50);
    const seen =
      "until grep -q ^isofs /proc/modules; do :; done; until ip link show storm0; do :; done";
    await guest.run(seen);
  }
  assert.equal((await guest.attempt("pgrep -x storm || pgrep modprobe")).status, 1);
  assert.equal((await guest.run("uname -s")).trim(), "Linux");
});
