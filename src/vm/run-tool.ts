import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { KvmsecError, systemCode } from "../base/errors.ts";

/** The distribution package (Debian's name) that brings a tool. */
const packages: Readonly<Record<string, string>> = {
  "qemu-img": "qemu-utils",
  "qemu-system-x86_64": "qemu-system-x86",
  mmdebstrap: "mmdebstrap",
  mke2fs: "e2fsprogs",
  fakeroot: "fakeroot",
  tar: "tar",
  unshare: "util-linux",
};

export type ToolOptions = {
  readonly signal?: AbortSignal | undefined;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Its standard output goes to this descriptor instead of being returned. */
  readonly stdout?: number;
  /** Called with each line that it writes to standard error. */
  readonly onLine?: (line: string) => void;
};

/** What a tool said. */
export type ToolResult = {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
};

/** More than this of a tool's words is not kept. */
const MAX_KEPT = 1024 * 1024;

/**
 * Runs a tool of the distribution to its end. Throws KVMSEC_TOOL_MISSING, and KVMSEC_INTERRUPTED
 * where the signal ended it; any exit status is returned.
 */
export function tryTool(
  name: string,
  args: readonly string[],
  options: ToolOptions = {},
): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(name, args, {
      stdio: ["ignore", options.stdout ?? "pipe", "pipe"],
      // A process group of its own, so that a tool's own children can be ended with it.
      detached: true,
      env: { ...process.env, LC_ALL: "C.UTF-8", ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    let stdout = "";
    let stderr = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      if (stdout.length < MAX_KEPT) stdout += text;
    });
    if (child.stderr !== null) {
      createInterface({ input: child.stderr }).on("line", (line) => {
        if (stderr.length < MAX_KEPT) stderr += `${line}\n`;
        options.onLine?.(line);
      });
    }
    const leave = stopOnAbort(child, options.signal);
    child.on("error", (error) => {
      leave();
      reject(systemCode(error) === "ENOENT" ? missing(name) : error);
    });
    child.on("close", (code) => {
      leave();
      if (options.signal?.aborted === true) reject(interrupted());
      else resolve({ status: code ?? 128, stdout, stderr });
    });
  });
}

/** Tools get so long to tidy up when they are interrupted. */
const TIDY_MS = 10_000;

/** Interrupts the tool and all its children, as Ctrl-C would; returns what ends the watching. */
function stopOnAbort(child: ChildProcess, signal: AbortSignal | undefined): () => void {
  let timer: NodeJS.Timeout | undefined;
  const send = (name: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    } catch (error) {
      if (systemCode(error) !== "ESRCH") throw error;
    }
  };
  const stop = () => {
    send("SIGINT");
    timer = setTimeout(() => send("SIGKILL"), TIDY_MS);
  };
  if (signal?.aborted === true) stop();
  else signal?.addEventListener("abort", stop, { once: true });
  return () => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  };
}

/** The same, for a tool that has to succeed: throws KVMSEC_TOOL_FAILED with its last words. */
export async function runTool(
  name: string,
  args: readonly string[],
  options: ToolOptions = {},
): Promise<ToolResult> {
  const result = await tryTool(name, args, options);
  if (result.status === 0) return result;
  const words = result.stderr.trim().split("\n").at(-1) ?? "";
  if (/no space left/i.test(result.stderr)) {
    throw new KvmsecError("KVMSEC_HOST_DISK", `${name} found no space left on the disk: ${words}`, {
      hint: "Make room, or set KVMSEC_HOME to a folder on a larger disk.",
    });
  }
  throw new KvmsecError(
    "KVMSEC_TOOL_FAILED",
    `${name} failed with status ${result.status}: ${words}`,
  );
}

function missing(name: string): KvmsecError {
  return new KvmsecError("KVMSEC_TOOL_MISSING", `This host has no ${name}.`, {
    hint: `Install it: sudo apt-get install ${packages[name] ?? name} ('kvmsec doctor' shows all that is missing).`,
  });
}

/** The error of work that the user ended. */
export function interrupted(): KvmsecError {
  return new KvmsecError("KVMSEC_INTERRUPTED", "Interrupted; nothing half-made was left behind.");
}
