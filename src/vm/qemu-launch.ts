import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { KvmsecError, systemCode } from "../base/errors.ts";
import { connectQmp } from "../qmp/connection.ts";
import { qmpErrorCodes } from "../qmp/errors.ts";
import { processIdentity } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";
import { QEMU } from "./qemu-arguments.ts";
import type { VmPaths } from "./vm-state.ts";

/** QEMU opens its sockets within tens of milliseconds; a loaded host takes longer. */
const PATIENCE_MS = 30_000;

/** The number under which QEMU finds the descriptor that it is given. */
export const INHERITED_FD = 3;

/** A QEMU that was just started. Disposing lets go of it: it runs on. */
export type LaunchedQemu = Disposable & {
  /** One that is gone already was nobody: why is said when it is waited for. */
  readonly identity: ProcessIdentity;
  /** Settles when its monitor answers; rejects with its last words where it dies before. */
  answers(): Promise<void>;
};

/**
 * Starts QEMU in the VM's folder, in a session of its own without a terminal, with its words going
 * to the VM's log and its sockets for the owner only. `inherited` is a descriptor of ours that it
 * gets as INHERITED_FD. Throws KVMSEC_TOOL_MISSING.
 */
export function launchQemu(
  args: readonly string[],
  paths: VmPaths,
  inherited?: number,
): LaunchedQemu {
  const log = openSync(paths.log, "w", 0o600);
  const umask = process.umask(0o077);
  const child = (() => {
    try {
      return spawn(QEMU, args, {
        cwd: paths.folder,
        detached: true,
        stdio: ["ignore", log, log, ...(inherited === undefined ? [] : [inherited])],
        env: { PATH: process.env["PATH"], LC_ALL: "C.UTF-8" },
      });
    } finally {
      process.umask(umask);
      closeSync(log);
    }
  })();
  let died: string | undefined;
  child.on("exit", (code, signal) => {
    died = signal === null ? `status ${code}` : signal;
  });
  let failure: Error | undefined;
  child.on("error", (error) => (failure = error));
  if (child.pid === undefined) throw notStarted();
  return {
    identity: processIdentity(child.pid) ?? { pid: child.pid, startTime: 0, bootId: "" },
    answers: () => untilAnswers(paths, () => failure ?? (died && lastWords(paths, died))),
    [Symbol.dispose]: () => child.unref(),
  };
}

async function untilAnswers(
  paths: VmPaths,
  death: () => Error | string | undefined,
): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      (await connectQmp(paths.operator, { timeoutMs: 1000 })).close();
      return;
    } catch (error) {
      const cause = death();
      if (cause instanceof Error) throw cause;
      if (cause !== undefined) throw startFailed(cause, paths);
      if (!isTooEarly(error) || Date.now() > deadline) throw error;
    }
    await sleep(10);
  }
}

function isTooEarly(error: unknown): boolean {
  const early: readonly string[] = [
    qmpErrorCodes.noSocket,
    qmpErrorCodes.refused,
    qmpErrorCodes.busy,
    qmpErrorCodes.closed,
  ];
  return early.includes(systemCode(error) ?? "");
}

/** The last line of the log; QEMU prefixes it with the time and its own name. */
function lastWords(paths: VmPaths, died: string): string {
  const line = readFileSync(paths.log, "utf8").trim().split("\n").at(-1) ?? "";
  const words = line.replace(/^\S*Z? ?qemu-system-[a-z0-9_]+: /, "");
  return words === "" ? `it ended with ${died} and said nothing` : words;
}

function startFailed(words: string, paths: VmPaths): KvmsecError {
  return new KvmsecError("KVMSEC_VM_START_FAILED", `QEMU ended at once: ${words}`, {
    hint: `${paths.log} holds all that it said.`,
  });
}

function notStarted(): KvmsecError {
  return new KvmsecError("KVMSEC_TOOL_MISSING", `This host has no ${QEMU}.`, {
    hint: "Install it: sudo apt-get install qemu-system-x86 ('kvmsec doctor' shows all that is missing).",
  });
}
