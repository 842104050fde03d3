import { closeSync, fstatSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dataExtents } from "../../src/native/mmap.ts";
import { kernel } from "../vm/harness/debian-kernel.ts";
import { bootTiny } from "../vm/harness/guest.ts";
import type { Guest } from "../vm/harness/guest.ts";
import { runAsCommand } from "./as-command.ts";
import type { Figure } from "./measure.ts";

const MIB = 2 ** 20;
/** 200 MB, in MiB. */
const GOAL = 190;
const shapes = [
  { memory: "4G", ram: "memfd" },
  { memory: "6G", ram: "anonymous" },
] as const;

/**
 * The most that a monitor of a large guest ever has resident: discovery without and with the cache,
 * the views that walk furthest, and sweeps. Needs as much of this machine's memory as the guest has.
 */
export async function monitorMemory(): Promise<Figure[]> {
  const bookworm = await kernel({ release: "bookworm", flavour: "cloud" });
  const cache = mkdtempSync(join(tmpdir(), "kvmsec-bench-"));
  const warm = mkdtempSync(join(tmpdir(), "kvmsec-bench-"));
  const figures: Figure[] = [];
  try {
    for (const { memory, ram } of shapes) {
      await using guest = await bootTiny({ kernel: bookworm, memory, ram });
      await fill(guest);
      // The first one leaves compiled code; the second has no symbols yet, which the third then finds.
      peakOf(guest.pid, warm);
      const peaks = [peakOf(guest.pid, cache), peakOf(guest.pid, cache)];
      const name = `peak of a monitor of ${memory} ${ram}`;
      figures.push({ name, value: Math.max(...peaks), unit: "MiB", goal: GOAL });
    }
  } finally {
    for (const folder of [cache, warm]) rmSync(folder, { recursive: true });
  }
  return figures;
}

/** Bytes in what the guest never touched, as in a machine that has run for a while. */
async function fill(guest: Guest): Promise<void> {
  if (guest.ramPath === undefined) return;
  await guest.qmp("stop");
  const fd = openSync(guest.ramPath, "r+");
  const { size } = fstatSync(fd);
  const filling = Buffer.alloc(MIB, "used before ");
  let at = 0;
  for (const { start, end } of [...dataExtents(fd, size), { start: size, end: size }]) {
    for (; at < start; at += MIB) writeSync(fd, filling, 0, Math.min(MIB, start - at), at);
    at = end;
  }
  closeSync(fd);
  await guest.qmp("cont");
}

function peakOf(pid: number, cache: string): number {
  return (
    Number(
      runAsCommand("monitor.ts", [`pid:${pid}`], { KVMSEC_HOME: cache, XDG_CACHE_HOME: cache }),
    ) / 1024
  );
}
