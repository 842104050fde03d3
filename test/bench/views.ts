import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checks } from "../../src/checks/registry.ts";
import { sweep } from "../../src/checks/sweep.ts";
import { ProcessDecoder } from "../../src/linux/process.ts";
import { attach } from "../../src/vm/guest.ts";
import type { Guest as Attached } from "../../src/vm/guest.ts";
import { findKernelFiles } from "../../src/files/kernel-files.ts";
import type { KernelFiles } from "../../src/files/kernel-files.ts";
import { moduleFolder } from "../vm/harness/guest-modules.ts";
import type { Guest } from "../vm/harness/guest.ts";
import { runAsCommand } from "./as-command.ts";
import { timeMs } from "./measure.ts";
import type { Figure } from "./measure.ts";

const root = join(import.meta.dirname, "../..");
const MIB = 2 ** 20;
/** How many checks of a large guest are shown. */
const DEAREST = 8;

/** Discovery in fresh processes: from nothing, and with the kernel's symbols in the cache. */
export function discovery(guest: Guest, runs: number): Figure[] {
  const cache = mkdtempSync(join(tmpdir(), "kvmsec-bench-"));
  try {
    const cold = Array.from({ length: runs }, () => coldLook(guest.pid));
    coldLook(guest.pid, cache);
    const cached = Array.from({ length: runs }, () => coldLook(guest.pid, cache));
    return [
      { name: "discovery from nothing", value: time(cold), unit: "ms", goal: 250 },
      { name: "discovery with cache", value: time(cached), unit: "ms", goal: 40 },
      { name: "resident set after discovery", value: resident(cold), unit: "MiB", goal: 200 },
    ];
  } finally {
    rmSync(cache, { recursive: true });
  }
}

type Look = { readonly milliseconds: number; readonly rss: number };

function coldLook(pid: number, ...cache: readonly string[]): Look {
  return JSON.parse(runAsCommand("cold-look.ts", [String(pid), ...cache])) as Look;
}

function time(looks: readonly Look[]): number {
  return Math.min(...looks.map(({ milliseconds }) => milliseconds));
}

function resident(looks: readonly Look[]): number {
  return Math.max(...looks.map(({ rss }) => rss)) / MIB;
}

/** The files of the guest's kernel and modules: what they are compared with is part of a sweep. */
async function filesOf({ options }: Guest, attached: Attached): Promise<KernelFiles> {
  const modulesDir = await moduleFolder(options);
  return findKernelFiles(attached, { kernelFile: options.kernel.vmlinuz, modulesDir });
}

/** A warm sweep of 1,000 processes, whole and what the dearest checks have of it. */
export async function sweepOfMany(guest: Guest): Promise<Figure[]> {
  using attached = await attach(`pid:${guest.pid}`);
  const host = await filesOf(guest, attached);
  await populate(guest, attached, 1000);
  const shares = new Map<string, number>();
  const whole = timeMs(
    () => {
      const { checks: results } = sweep(attached.kernel, checks, host);
      for (const { id, durationMs } of results) {
        shares.set(id, Math.min(shares.get(id) ?? Number.POSITIVE_INFINITY, durationMs));
      }
    },
    20,
    20,
  );
  const dearest = [...shares].toSorted(([, a], [, b]) => b - a).slice(0, DEAREST);
  return [
    { name: "warm sweep of 1000 processes", value: whole, unit: "ms", goal: 200 },
    ...dearest.map(([id, value]): Figure => {
      return { name: `  of these for ${id}`, value, unit: "ms", goal: 200 };
    }),
  ];
}

/** A warm process list of at least `wanted` tasks. */
export async function processList(guest: Guest, wanted: number, goal: number): Promise<Figure[]> {
  using attached = await attach(`pid:${guest.pid}`);
  const tasks = await populate(guest, attached, wanted);
  const value = listMs(attached);
  const name = `process list of ${tasks} tasks`;
  return [{ name, value, unit: "ms", goal: (goal * tasks) / wanted }];
}

/** Starts sleepers until at least `wanted` tasks run; returns how many do. */
async function populate(guest: Guest, { kernel }: Attached, wanted: number): Promise<number> {
  const decoder = new ProcessDecoder(kernel);
  const count = (): number => {
    kernel.refresh();
    return [...decoder.tasks.processes(kernel.budget())].length;
  };
  const missing = wanted - count();
  if (missing > 0) {
    await guest.run(`i=0; while [ $i -lt ${missing} ]; do sleep 100000 & i=$((i+1)); done`, {
      timeout: 300_000,
    });
  }
  return count();
}

function listMs({ kernel }: Attached): number {
  const decoder = new ProcessDecoder(kernel);
  const list = (): void => {
    kernel.refresh();
    for (const process of decoder.all(kernel.budget())) void process.exe;
  };
  return timeMs(list, 200, 300);
}

/** One translation through the TLB, over pages of the direct map and the kernel image. */
export async function pageWalk(guest: Guest): Promise<Figure[]> {
  using attached = await attach(`pid:${guest.pid}`);
  const { space, image } = attached.kernel;
  const pages = 2048;
  const rounds = 100;
  let sum = 0;
  const walk = (): void => {
    for (let round = 0; round < rounds; round++) {
      for (let page = 0; page < pages; page++) sum += space.physical(image.virtual + page * 4096);
    }
  };
  const ms = timeMs(walk, 40, 40);
  if (!(sum > 0)) throw new Error("nothing was translated");
  return [
    { name: "page walk with TLB", value: (ms * 1e6) / (pages * rounds), unit: "ns", goal: 20 },
  ];
}

/** The whole command, with its start. */
export function wholeCommand(guest: Guest, runs: number): Figure[] {
  const ps = (): void => {
    execFileSync(join(root, "bin/kvmsec.js"), ["ps", `pid:${guest.pid}`, "--json"], {
      maxBuffer: 64 * MIB,
    });
  };
  return [{ name: "whole kvmsec ps", value: timeMs(ps, runs, 1), unit: "ms", goal: 500 }];
}

/** A warm sweep with the kernel file, whole and by check. */
export async function sweeps(guest: Guest): Promise<Figure[]> {
  using attached = await attach(`pid:${guest.pid}`);
  const host = await filesOf(guest, attached);
  const whole = timeMs(() => void sweep(attached.kernel, checks, host), 20, 20);
  const figures: Figure[] = [{ name: "warm sweep", value: whole, unit: "ms", goal: 100 }];
  for (const check of checks) {
    const value = timeMs(() => void sweep(attached.kernel, [check], host), 10, 2);
    figures.push({ name: `  check ${check.id}`, value, unit: "ms", goal: 100 });
  }
  return figures;
}
