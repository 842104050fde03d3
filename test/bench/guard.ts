import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { checks } from "../../src/checks/registry.ts";
import { sweep } from "../../src/checks/sweep.ts";
import { CheckTurns } from "../../src/daemon/check-turns.ts";
import { eventLogPath } from "../../src/events/event-log.ts";
import { readLog } from "../../src/events/log-reader.ts";
import { findKernelFiles } from "../../src/files/kernel-files.ts";
import { attach } from "../../src/vm/guest.ts";
import { locateRam } from "../../src/vm/ram-location.ts";
import { readProcessors } from "../../src/vm/processors.ts";
import { qemuProcess } from "../../src/vm/qemu-process.ts";
import type { Guest } from "../vm/harness/guest.ts";
import { nodeFlags } from "../../bin/node-options.js";
import { commandEnvironment } from "./as-command.ts";
import type { Figure } from "./measure.ts";

const LOOKS = 30;

/**
 * What a look every second takes of one processor, by the guard's own way of choosing checks: cheap
 * ones each time within the budget, each of the others every five minutes.
 */
export async function watching(guest: Guest): Promise<Figure[]> {
  using attached = await attach(`pid:${guest.pid}`);
  const files = findKernelFiles(attached, { kernelFile: guest.options.kernel.vmlinuz });
  const cost = async (budget: number): Promise<number> => {
    const turns = new CheckTurns();
    const turn = { must: [], budgetMs: budget * 1000, seldomMs: 300_000 };
    let before = process.cpuUsage();
    for (let second = -3; second < LOOKS; second++) {
      // The first look runs all and learns what each takes.
      if (second === 0) before = process.cpuUsage();
      const now = second * 1000;
      const begun = process.cpuUsage();
      const host = { ...files, ...(await readProcessors(attached)) };
      const due = turns.choose(checks, now, turn);
      const { checks: results } = sweep(attached.kernel, due, host);
      turns.ran(results, now, cpuMsSince(begun));
    }
    return cpuMsSince(before) / (LOOKS * 1000);
  };
  return [
    { name: "a sweep every second", value: 100 * (await cost(0.05)), unit: "%", goal: 5 },
    { name: "the same on a budget of 1 %", value: 100 * (await cost(0.01)), unit: "%", goal: 1 },
  ];
}

function cpuMsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

const GUESTS = 50;
const MEASURED_MS = 20_000;
const PATIENCE_MS = 600_000;

/**
 * What the guard of 50 guests takes of one processor between their sweeps: QEMUs that stand still,
 * each with the same picture of a guest's memory.
 */
export async function idleGuard(guest: Guest): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "kvmsec-bench-"));
  const children: ChildProcess[] = [];
  try {
    const { path, size } = locateRam(qemuProcess(guest.pid)!);
    const ram = join(folder, "ram");
    copyFileSync(path!, ram);
    for (let n = 0; n < GUESTS; n++) children.push(standing(`idle-${n}`, ram, size));
    const targets = children.map(({ pid }) => `"pid:${pid}"`).join(", ");
    const config = join(folder, "guard.yaml");
    writeFileSync(config, `vms: false\ninterval: 1h\njitter: 0\ntargets: [${targets}]\n`);
    await sleep(2000);
    const guard = serve(folder, config);
    children.push(guard);
    await untilWatched(folder);
    const before = cpuMs(guard.pid!);
    await sleep(MEASURED_MS);
    const value = (100 * (cpuMs(guard.pid!) - before)) / MEASURED_MS;
    guard.kill("SIGTERM");
    await once(guard, "exit");
    return [{ name: `idle guard of ${GUESTS} guests`, value, unit: "%", goal: 5 }];
  } finally {
    for (const child of children) child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
}

function standing(name: string, ram: string, size: number): ChildProcess {
  const backend = `memory-backend-file,id=ram,size=${size},share=on,mem-path=${ram}`;
  const args = ["-name", name, "-nodefaults", "-display", "none", "-S", "-m", `${size / 2 ** 20}M`];
  args.push("-M", "q35,memory-backend=ram", "-object", backend);
  return spawn("qemu-system-x86_64", args, { stdio: "ignore" });
}

function serve(home: string, config: string): ChildProcess {
  const program = resolve(import.meta.dirname, "../../src/cli/main.ts");
  return spawn(process.execPath, [...nodeFlags, program, "serve", "--config", config], {
    env: { ...commandEnvironment, KVMSEC_HOME: home },
    stdio: "ignore",
  });
}

/** Every guest was swept once. */
async function untilWatched(home: string): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; Date.now() < deadline; await sleep(500)) {
    const watched = new Set<string>();
    readLog(eventLogPath(home), ({ kind, guest }) => {
      if (kind === "watching" && guest !== null) watched.add(guest);
    });
    if (watched.size >= GUESTS) return;
  }
  throw new Error("not every guest was swept in time");
}

/** utime and stime of a process (proc(5), fields 14 and 15), at 100 ticks a second. */
function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
