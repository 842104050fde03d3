import { existsSync, rmSync } from "node:fs";
import { readDocument } from "./home.ts";
import { isRunning } from "./process-identity.ts";
import { vmRunKind } from "./vm-state.ts";
import type { VmPaths, VmRun } from "./vm-state.ts";

/**
 * The run of a VM whose QEMU ended without having tidied up: killed, or crashed. QEMU removes its
 * pid file whenever it leaves in order, whoever asked it to (qemu_unlink_pidfile in softmmu/vl.c;
 * seen on 7.2: gone after `quit` and SIGTERM, left behind by SIGKILL and SIGSEGV).
 */
export function abnormalEnd(paths: VmPaths): VmRun | undefined {
  const run = readDocument(paths.run, vmRunKind);
  if (run === undefined || isRunning(run) || !existsSync(paths.pidFile)) return undefined;
  return run;
}

/** What was left behind is kept elsewhere: it is no news any more. */
export function settleEnd(paths: VmPaths): void {
  rmSync(paths.pidFile, { force: true });
}
