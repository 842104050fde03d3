import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { cgroups } from "../../../src/views/cgroups.ts";
import { files } from "../../../src/views/files.ts";
import { maps } from "../../../src/views/maps.ts";
import type { MappingRow } from "../../../src/views/maps.ts";
import { ps } from "../../../src/views/ps.ts";
import type { ProcessRow } from "../../../src/views/ps.ts";
import { threads } from "../../../src/views/threads.ts";
import type { Guest } from "../harness/guest.ts";
import type { Population } from "../harness/populate.ts";
import { storm } from "../harness/storm.ts";
import { readAll } from "./agree.ts";

const ROUNDS = 30;
const LOOKS_A_ROUND = 5;
const PID_MAX_LIMIT = 2 ** 22;
/**
 * What may be called so while the storm blows; a worker takes any number. Since 6.14 a program's name
 * is written first and the rest of the old one wiped then (__set_task_comm, fs/exec.c): a processor
 * that stops in between leaves both, and readers in the guest see the same.
 */
const storming = /^(storm|true|truem|sh|shorm|shue|busybox|kworker\/.*)$/;

/** Views stay whole and sensible while thousands of tasks, mappings, files and groups come and go. */
export async function viewsHoldInStorms(
  guest: Guest,
  kernel: Kernel,
  population: Population,
): Promise<void> {
  const before = await settled(kernel, population);
  const quiet = before.filter(({ pid }) => isQuiet(pid, population)).map(lasting);
  const calm = {
    quiet,
    comms: new Set(before.map(({ comm }) => comm)),
    maps: quietMaps(kernel, population),
    files: readAll(files, kernel, { pid: [population.get("many_descriptors") ?? -1] }).length,
  };
  const seen = new Set<number>();
  {
    await using all = await storm(guest, ["fork", "thread", "map", "file", "cgroup"]);
    assert.ok(all !== undefined);
    for (let round = 0; round < ROUNDS; round++) {
      for (let look = 0; look < LOOKS_A_ROUND; look++) {
        const rows = readAll(ps, kernel, {});
        assertSensible(rows, calm);
        for (const { pid } of rows) seen.add(pid);
        assertThreads(kernel, rows.length);
      }
      assertMappings(kernel, population, calm.maps);
      assertFiles(kernel, population, calm.files);
      assertGroups(kernel);
      // The guest's processors are this machine's: they have to have their turn.
      await sleep(20);
    }
  }
  assert.ok(seen.size > before.length + ROUNDS, `${seen.size - before.length} tasks passed by`);
}

function isQuiet(pid: number, population: Population): boolean {
  return [...population.values()].includes(pid);
}

/** The processes when those of the population are what they were to become. */
async function settled(kernel: Kernel, population: Population): Promise<ProcessRow[]> {
  const look = (): ProcessRow[] => readAll(ps, kernel, {});
  const quiet = (rows: ProcessRow[]): string =>
    JSON.stringify(rows.filter(({ pid }) => isQuiet(pid, population)).map(lasting));
  let before = look();
  for (let same = 0; same < 5;) {
    await sleep(100);
    const after = look();
    same = quiet(after) === quiet(before) ? same + 1 : 0;
    before = after;
  }
  return before;
}

type Calm = {
  readonly quiet: readonly object[];
  readonly comms: ReadonlySet<string>;
};

/** What does not change of a process that does nothing. */
function lasting({ pid, ppid, uid, gid, comm, exe, commandLine, startTime, cgroup }: ProcessRow) {
  return { pid, ppid, uid, gid, comm, exe, commandLine, startTime, cgroup };
}

function assertSensible(rows: readonly ProcessRow[], { quiet, comms }: Calm): void {
  const pids = new Set(rows.map(({ pid }) => pid));
  assert.equal(pids.size, rows.length, "a pid is there twice");
  const known = new Set(quiet.map((row) => (row as ProcessRow).pid));
  assert.deepEqual(rows.filter(({ pid }) => known.has(pid)).map(lasting), quiet);
  for (const row of rows) {
    const title = JSON.stringify({ ...row, task: 0 });
    assert.ok(row.pid > 0 && row.pid <= PID_MAX_LIMIT && row.tgid > 0, title);
    assert.ok(row.ppid >= 0 && row.ppid <= PID_MAX_LIMIT && row.ppid !== row.pid, title);
    assert.match(row.state, /^[RSDTtXZPI]$/, title);
    assert.ok(comms.has(row.comm) || storming.test(row.comm), title);
    assert.ok(row.exe === undefined || row.exe.startsWith("/"), title);
    assert.ok(row.uid <= 0xffff_ffff && row.credentials.fsgid <= 0xffff_ffff, title);
    assert.ok(row.startTime !== undefined && row.cgroup !== undefined, title);
    assert.ok(row.threads >= 0 && row.threads < 100 && row.nice >= -20 && row.nice < 20, title);
    assert.ok(row.rss >= 0 && row.rss < 2 ** 30 && row.vsz >= 0 && row.vsz < 2 ** 47, title);
    assert.ok(row.cpuTimeMs >= 0 && row.cpuTimeMs < 3_600_000, title);
  }
}

function assertThreads(kernel: Kernel, processes: number): void {
  const rows = readAll(threads, kernel, {});
  assert.equal(new Set(rows.map(({ tid }) => tid)).size, rows.length, "a thread is there twice");
  assert.ok(rows.length > processes / 2);
  for (const { tid, tgid, state, cpu, stack } of rows) {
    assert.ok(tid > 0 && tid <= PID_MAX_LIMIT && tgid > 0 && tgid <= PID_MAX_LIMIT);
    assert.match(state, /^[RSDTtXZPI]$/);
    assert.ok(cpu >= 0 && cpu < 64 && (stack <= 0 || stack !== stack), `${tid} ${cpu} ${stack}`);
  }
}

function quietMaps(kernel: Kernel, population: Population): MappingRow[] {
  const pid = [population.get("churned_mappings") ?? -1, population.get("mappings") ?? -1];
  return readAll(maps, kernel, { pid });
}

function assertMappings(kernel: Kernel, population: Population, calm: MappingRow[]): void {
  assert.deepEqual(quietMaps(kernel, population), calm);
  let last = { pid: -1, end: 0 };
  const problems: string[] = [];
  kernel.refresh();
  for (const row of maps.read(kernel, {}, (reason) => problems.push(reason))) {
    const title = JSON.stringify({ ...row, vma: 0 });
    assert.match(row.permissions, /^[r-][w-][x-][ps]$/, title);
    const kernelHalf = row.path === "[vsyscall]";
    assert.ok(kernelHalf || (row.start < row.end && row.end <= 2 ** 56), title);
    if (row.pid === last.pid && !kernelHalf) assert.ok(row.start >= last.end, title);
    assert.ok(row.path === undefined || /^[/[]/.test(row.path), title);
    if (!kernelHalf) last = row;
  }
  // Those that do nothing but map and end may be told of as not wholly read.
  const mapping = /^process \d+: of \d+ mappings .* could be read$/;
  assert.deepEqual(
    problems.filter((each) => !mapping.test(each)),
    [],
  );
  assert.ok(problems.length <= 3, problems.join("; "));
}

function assertFiles(kernel: Kernel, population: Population, calm: number): void {
  const many = population.get("many_descriptors") ?? -1;
  const rows = readAll(files, kernel, {});
  assert.equal(rows.filter(({ pid }) => pid === many).length, calm);
  const each = new Set(rows.map(({ pid, tid, fd }) => `${pid} ${tid} ${fd}`));
  assert.equal(each.size, rows.length, "a descriptor is there twice");
}

function assertGroups(kernel: Kernel): void {
  const rows = readAll(cgroups, kernel, {});
  for (const { path, id, pids } of rows) {
    assert.match(path, /^\//);
    assert.ok(id > 0 && pids.every((pid) => pid > 0 && pid <= PID_MAX_LIMIT), path);
  }
}
