import { readFileSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { KvmsecError, systemCode } from "../base/errors.ts";

/** Bytes that this user may still write to the file system that holds `path`. */
export function freeDisk(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize;
}

/** Throws KVMSEC_HOST_DISK where less than `needed` bytes are free. */
export function requireDisk(path: string, needed: number, purpose: string): void {
  const free = freeDisk(path);
  if (free >= needed) return;
  throw new KvmsecError(
    "KVMSEC_HOST_DISK",
    `${purpose} needs ${mebibytes(needed)} MiB at ${path}, where ${mebibytes(free)} MiB are free.`,
    { hint: "Make room there, or set KVMSEC_HOME to a folder on a larger disk." },
  );
}

/** Memory of the host, or of the control group that this process is confined to. */
export type HostMemory = { readonly total: number; readonly available: number };

/** From /proc/meminfo (proc(5)) and memory.max of the control groups above (cgroup v2). */
export function hostMemory(): HostMemory {
  const text = readFileSync("/proc/meminfo", "utf8");
  const field = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? 0) * 1024;
  let total = field("MemTotal");
  let available = field("MemAvailable");
  for (const group of controlGroups()) {
    const limit = groupNumber(group, "memory.max");
    if (limit === undefined) continue;
    total = Math.min(total, limit);
    available = Math.min(available, limit - (groupNumber(group, "memory.current") ?? 0));
  }
  return { total, available: Math.max(0, available) };
}

/** This process's control group and those above it, as folders. */
function controlGroups(): string[] {
  const own = /^0::(\/.*)$/m.exec(readIfThere("/proc/self/cgroup") ?? "")?.[1];
  if (own === undefined) return [];
  const parts = own.split("/").filter((part) => part !== "");
  return parts.map((_, depth) => join("/sys/fs/cgroup", ...parts.slice(0, depth + 1)));
}

function groupNumber(group: string, file: string): number | undefined {
  const value = Number(readIfThere(join(group, file)) ?? Number.NaN);
  return Number.isFinite(value) ? value : undefined;
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    if (systemCode(error) !== undefined) return undefined;
    throw error;
  }
}

/** What the host needs beside a guest's own memory: QEMU itself, and air to breathe. */
const RESERVE = 192 * 1024 * 1024;

/** Throws KVMSEC_HOST_MEMORY where a guest of that size does not fit now. */
export function requireMemory(size: number, memory = hostMemory()): void {
  if (size + RESERVE <= memory.available) return;
  throw new KvmsecError(
    "KVMSEC_HOST_MEMORY",
    `The guest's ${mebibytes(size)} MiB of memory do not fit: ${mebibytes(memory.available)} of the host's ${mebibytes(memory.total)} MiB are available, and ${mebibytes(RESERVE)} MiB must remain.`,
    { hint: "Stop other guests, or give this one less memory: kvmsec vm create --memory 512M." },
  );
}

function mebibytes(bytes: number): number {
  return Math.floor(bytes / 1024 ** 2);
}
