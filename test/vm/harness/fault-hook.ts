import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

/**
 * Loaded into a kvmsec before its own code (`node --import`): at its Nth point where something
 * becomes durable, one thing goes wrong. KVMSEC_FAULT=KIND:N:PID, PID being QEMU's. Of several
 * processes it goes wrong in those whose program is KVMSEC_FAULT_IN, once if KVMSEC_FAULT_ONCE names
 * a file to remember it by; in the guard itself the points are counted from its first decision on.
 */
const [kind = "", count = "", qemu = ""] = (process.env["KVMSEC_FAULT"] ?? "").split(":");
const { KVMSEC_FAULT_IN: where, KVMSEC_FAULT_ONCE: once } = process.env;
const real = { ...fs };
const DAY = 86_400_000;
const isHere = where === undefined || (process.argv[1] ?? "").endsWith(where);
let left = isHere ? Number(count) : 0;
let counts = where !== "main.ts";

/** Whether this is the one. */
function isDue(): boolean {
  if (!counts || --left !== 0) return false;
  if (once === undefined) return true;
  try {
    real.closeSync(real.openSync(once, "wx"));
    return true;
  } catch {
    return false;
  }
}

function fullDisk(): Error {
  return Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
}

function strike(): void {
  if (kind === "kill") process.kill(process.pid, "SIGKILL");
  // Of a worker: the guard that it works for.
  if (kind === "parent") process.kill(process.ppid, "SIGKILL");
  if (kind === "qemu") {
    process.kill(Number(qemu), "SIGKILL");
    // Whoever looks next sees it gone.
    execFileSync("sleep", ["0.05"]);
  }
  if (kind === "stall") {
    process.kill(Number(qemu), "SIGSTOP");
    const wake = `sleep 2; kill -CONT ${qemu}`;
    spawn("sh", ["-c", wake], { detached: true, stdio: "ignore" }).unref();
  }
  if (kind === "clock") {
    const now = Date.now;
    Date.now = () => now() - DAY;
  }
  if (kind === "full") throw fullDisk();
}

type Write = (fd: number, data: Uint8Array | string, ...rest: never[]) => number;

/** Lines of the journal and of the event log; the rest is bulk. */
function isRecord(data: Uint8Array | string): boolean {
  const text = typeof data === "string" ? data : Buffer.from(data.subarray(0, 20)).toString();
  return text.startsWith('{"schema":"kvmsec.');
}

const patched = {
  fsyncSync: (fd: number) => {
    if (["kill", "parent", "qemu", "stall", "clock"].includes(kind) && isDue()) strike();
    real.fsyncSync(fd);
  },
  renameSync: (from: fs.PathLike, to: fs.PathLike) => {
    if (kind !== "torn" && isDue()) strike();
    real.renameSync(from, to);
  },
  writeSync: ((fd, data, ...rest) => {
    const write = real.writeSync as Write;
    if (!isRecord(data)) return write(fd, data, ...rest);
    counts ||= Buffer.from(data as Uint8Array).includes('"kind":"decision"');
    if (kind === "full" && isDue()) throw fullDisk();
    if (kind === "torn" && isDue()) {
      write(fd, Buffer.from(data as Uint8Array).subarray(0, Math.floor(data.length / 2)));
      process.kill(process.pid, "SIGKILL");
    }
    return write(fd, data, ...rest);
  }) as Write,
};

if (left > 0) {
  Object.assign(fs, patched);
  syncBuiltinESMExports();
}
