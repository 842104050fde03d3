import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
import { systemCode } from "../base/errors.ts";
import { parseQemuArguments } from "./qemu-command-line.ts";
import type { QemuArguments } from "./qemu-command-line.ts";

/** A QEMU that runs on this host. */
export type QemuProcess = {
  readonly pid: number;
  /** Clock ticks after the host's boot (proc(5), field 22): with the pid it names one process. */
  readonly startTime: number;
  readonly uid: number;
  /** Of the guest, as QEMU names it: `x86_64`, `aarch64`; undefined for one that may be several. */
  readonly architecture: string | undefined;
  readonly arguments: QemuArguments;
};

const QEMU_NAME = /^(qemu-system-|qemu-kvm$|kvm$)/;

/** Every QEMU system emulator on the host, by ascending pid. */
export function listQemuProcesses(): QemuProcess[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .flatMap((pid) => qemuProcess(pid) ?? [])
    .toSorted((a, b) => a.pid - b.pid);
}

/** The process if it runs and is a QEMU system emulator, else undefined. */
export function qemuProcess(pid: number): QemuProcess | undefined {
  try {
    const argv = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
    const name = executableName(pid, argv);
    if (!QEMU_NAME.test(name)) return undefined;
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return {
      pid,
      startTime: startTimeOf(stat),
      uid: Number(/^Uid:\s+(\d+)/m.exec(status)?.[1] ?? Number.NaN),
      architecture: /^qemu-system-(\w+)/.exec(name)?.[1],
      arguments: parseQemuArguments(argv.slice(1)),
    };
  } catch (error) {
    if (["ENOENT", "ESRCH", "EACCES"].includes(systemCode(error) ?? "")) return undefined;
    throw error;
  }
}

/** The executable's name; another user's cannot be read, and then argv[0] has to do. */
function executableName(pid: number, argv: readonly string[]): string {
  try {
    return basename(readlinkSync(`/proc/${pid}/exe`)).replace(/ \(deleted\)$/, "");
  } catch {
    return basename(argv[0] ?? "");
  }
}

/** Field 22 of /proc/PID/stat; the second field may hold blanks and brackets. */
export function startTimeOf(stat: string): number {
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
}
