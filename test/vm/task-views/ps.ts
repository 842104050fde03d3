import assert from "node:assert/strict";
import { guestText } from "../../../src/base/guest-text.ts";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { ps } from "../../../src/views/ps.ts";
import type { ProcessRow } from "../../../src/views/ps.ts";
import type { Guest } from "../harness/guest.ts";
import type { Population } from "../harness/populate.ts";
import { agree, readAll } from "./agree.ts";
import { readProc } from "./proc.ts";
import type { Proc } from "./proc.ts";

const files = ["comm", "status", "stat", "cmdline", "exe", "cwd", "root", "cgroup", "loginuid"];
/** The namespaces that /proc still shows of a leader that has exited. */
const ofTheDead = new Set(["pid", "user"]);
const PF_KTHREAD = 0x0020_0000;
const policies = ["OTHER", "FIFO", "RR", "BATCH", "ISO", "IDLE", "DEADLINE", "EXT"];
const noLogin = "4294967295";

/** What a worker works at changes with every look at the guest. */
const workerId = /^(kworker\/u?\d+:\d+H?)[-+].*/;

/** The states that a quiet process keeps; kernel threads wake up by themselves. */
function steadyState(state: string | undefined, kthread: boolean): string | undefined {
  return kthread ? undefined : state;
}

/** A process as /proc tells it, in the words of a row. */
function told(proc: Proc, pid: number) {
  const status = (key: string): string[] => proc.words(`${pid}/status`, key) ?? [];
  const stat = proc.stat(`${pid}/stat`) ?? [];
  const [uid, euid, suid, fsuid] = status("Uid").map(Number);
  const [gid, egid, sgid, fsgid] = status("Gid").map(Number);
  const set = (key: string): number => Number(`0x${status(key)[0]}`);
  const name = guestText(proc.bytes(`${pid}/comm`)?.subarray(0, -1) ?? Buffer.alloc(0));
  const kthread = (Number(stat[6]) & PF_KTHREAD) !== 0;
  const tracer = Number(status("TracerPid")[0]);
  const cmdline = proc.bytes(`${pid}/cmdline`) ?? Buffer.alloc(0);
  const login = proc.text(`${pid}/loginuid`) ?? noLogin;
  return {
    pid,
    tgid: Number(status("Tgid")[0]),
    ppid: Number(status("PPid")[0]),
    name: name.replace(workerId, "$1"),
    state: steadyState(status("State")[0], kthread),
    kthread,
    exe: proc.text(`${pid}/exe`),
    cwd: proc.text(`${pid}/cwd`),
    root: proc.text(`${pid}/root`),
    cmdline: cmdline.length === 0 ? undefined : spaced(cmdline),
    threads: Number(status("Threads")[0]),
    pgid: Number(stat[2]),
    sid: Number(stat[3]),
    hasTty: stat[4] !== "0",
    priority: Number(stat[15]),
    nice: Number(stat[16]),
    policy: policies[Number(stat[38])],
    vsz: Number(stat[20]),
    tracer: tracer === 0 ? undefined : tracer,
    seccomp: Number(status("Seccomp")[0]),
    noNewPrivileges: status("NoNewPrivs")[0] === "1",
    loginUid: login === noLogin ? undefined : Number(login),
    ids: { uid, euid, suid, fsuid, gid, egid, sgid, fsgid },
    groups: status("Groups")
      .map(Number)
      .filter((group) => group > 0),
    capabilities: {
      effective: set("CapEff"),
      permitted: set("CapPrm"),
      inheritable: set("CapInh"),
      bounding: set("CapBnd"),
      ambient: set("CapAmb"),
    },
    namespacePids: status("NSpid").map(Number),
    namespaces: Object.fromEntries(
      [...proc.folder(`${pid}/ns/`)]
        .filter(([name]) => !name.endsWith("_for_children"))
        .map(([name, link]) => [name, Number(/\d+/.exec(link)?.[0])]),
    ),
    cgroup: /^0::(.*)$/m.exec(proc.text(`${pid}/cgroup`) ?? "")?.[1],
  };
}

/** As ps shows it: NULs as spaces, but for the last. */
function spaced(cmdline: Buffer): string {
  const end = cmdline.at(-1) === 0 ? -1 : undefined;
  return guestText(cmdline.subarray(0, end)).replaceAll("\0", " ");
}

function seen(row: ProcessRow): ReturnType<typeof told> {
  // /proc has nothing to say of a process whose leader has exited; the view asks another thread.
  const leaderless = row.state === "Z" && row.threads > 1;
  const { uid, euid, suid, fsuid, gid, egid, sgid, fsgid } = row.credentials;
  const { groups, capabilities } = row.credentials;
  assert.equal(row.uid, uid);
  assert.equal(row.gid, gid);
  return {
    pid: row.pid,
    tgid: row.tgid,
    ppid: row.ppid,
    name: row.name.replace(workerId, "$1"),
    state: steadyState(row.state, row.kthread),
    kthread: row.kthread,
    exe: leaderless ? undefined : row.exe,
    cwd: leaderless ? undefined : row.cwd,
    root: leaderless ? undefined : row.root,
    cmdline: leaderless ? undefined : row.commandLine?.text,
    threads: row.threads,
    pgid: row.pgid,
    sid: row.sid,
    hasTty: row.tty !== undefined,
    priority: row.priority,
    nice: row.nice,
    policy: row.policy,
    vsz: leaderless ? 0 : row.vsz,
    tracer: row.tracer,
    seccomp: row.seccomp,
    noNewPrivileges: row.noNewPrivileges,
    loginUid: row.loginUid,
    ids: { uid, euid, suid, fsuid, gid, egid, sgid, fsgid },
    groups: groups.filter((group) => group > 0),
    capabilities,
    namespacePids: [...(row.namespacePids ?? [row.pid])],
    namespaces: Object.fromEntries(
      Object.entries(row.namespaces).flatMap(([name, inode]) =>
        inode === undefined || (leaderless && !ofTheDead.has(name)) ? [] : [[name, inode] as const],
      ),
    ),
    cgroup: row.cgroup,
  };
}

/** What /proc hides, or what changes with the looking, is compared elsewhere. */
const outside = (kernel: Kernel): ReturnType<typeof told>[] =>
  readAll(ps, kernel, {})
    .map(seen)
    .toSorted((a, b) => a.pid - b.pid);

/** Every process in every field that /proc tells exactly. */
export async function processesAreThoseOfProc(guest: Guest, kernel: Kernel): Promise<void> {
  await agree(
    async () => {
      const proc = await readProc(guest, ...files, "ns/");
      return proc.pids.map((pid) => told(proc, pid));
    },
    () => outside(kernel),
    "processes",
  );
}

/** A process whose leader has exited is still shown with its program. */
export async function leaderlessProcessesHaveTheirProgram(
  guest: Guest,
  kernel: Kernel,
  population: Population,
): Promise<void> {
  const pid = population.get("leaderless");
  const row = readAll(ps, kernel, {}).find((each) => each.pid === pid);
  assert.deepEqual(
    [row?.state, row?.exe, row?.commandLine?.text, row?.threads, row?.cwd, row?.root],
    ["Z", "/usr/sbin/odd-processes", "/usr/sbin/odd-processes", 4, "/", "/"],
  );
  const threads = await guest.run(`cat /proc/${pid}/task/*/statm | cut -d" " -f1 | sort -nu`);
  assert.equal(row?.vsz, Number(threads.trim().split("\n").at(-1)) * 4096);
}

/** Times, resident memory, terminals and workers' tasks, as far as they keep still. */
export async function measuresAreThoseOfProc(guest: Guest, kernel: Kernel): Promise<void> {
  const proc = await readProc(guest, "stat", "smaps_rollup", "comm");
  const booted = Number(/^btime (\d+)$/m.exec(await guest.run("cat /proc/stat"))?.[1]);
  const terminals = await guest.run("ps -e -o pid=,tty=");
  const ttys = new Map(
    terminals
      .trim()
      .split("\n")
      .map((line) => pair(line)),
  );
  let workers = 0;
  for (const row of readAll(ps, kernel, {})) {
    const stat = proc.stat(`${row.pid}/stat`);
    if (stat === undefined) continue;
    const title = `${row.pid} ${row.name}`;
    const started = booted * 1000 + Number(stat[19]) * 10;
    assert.ok(Math.abs((row.startTime?.getTime() ?? 0) - started) <= 1010, `${title} started`);
    const used = (Number(stat[11]) + Number(stat[12])) * 10;
    const idle = row.pid > 2 && !row.kthread;
    if (idle) assert.ok(Math.abs(row.cpuTimeMs - used) < 100, `${title} ran ${used} ms`);
    const resident = proc.words(`${row.pid}/smaps_rollup`, "Rss")?.[0];
    // A vfork's parent and child have one memory, and until 6.2 each counted for itself.
    const shared = row.comm === "uninterruptible";
    if (idle && !shared && resident !== undefined) {
      assert.equal(row.rss, Number(resident) * 1024, `${title}: resident`);
    }
    if (idle) assert.equal(row.tty ?? "?", ttys.get(row.pid), `${title}: terminal`);
    if (workerId.test(row.name) && proc.text(`${row.pid}/comm`) === `${row.name}\n`) workers++;
  }
  assert.ok(workers > 0, "no worker is named as in /proc");
}

function pair(line: string): [number, string] {
  const [pid, tty] = line.trim().split(/\s+/);
  return [Number(pid), tty];
}
