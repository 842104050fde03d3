import { readdirSync, readFileSync, statSync } from "node:fs";

export type Writer = { readonly pid: number; readonly name: string };

/** Access mode bits of the `flags` line in /proc/PID/fdinfo (octal): O_WRONLY, O_RDWR. */
const ACCESS_MODE = 3;

/**
 * Processes that have a file open for writing, as far as /proc shows them to this user. Our own
 * process counts too. Stops at the first.
 */
export function writersOf(file: { dev: number; ino: number }): Writer[] {
  for (const pid of list("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    for (const fd of list(`/proc/${pid}/fd`)) {
      if (isFile(`/proc/${pid}/fd/${fd}`, file) && isWriting(pid, fd)) {
        return [{ pid: Number(pid), name: content(`/proc/${pid}/comm`).trim() }];
      }
    }
  }
  return [];
}

/** Compares identities: a path may have been renamed, or reached through another one. */
function isFile(path: string, file: { dev: number; ino: number }): boolean {
  try {
    const stats = statSync(path, { throwIfNoEntry: false });
    return stats !== undefined && stats.ino === file.ino && stats.dev === file.dev;
  } catch {
    return false;
  }
}

function isWriting(pid: string, fd: string): boolean {
  const flags = /^flags:\s*([0-7]+)$/m.exec(content(`/proc/${pid}/fdinfo/${fd}`))?.[1];
  return flags !== undefined && (Number.parseInt(flags, 8) & ACCESS_MODE) !== 0;
}

/** Processes come and go, and others' folders are closed to us: both are empty. */
function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function content(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
