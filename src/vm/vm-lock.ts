import { ftruncateSync, readFileSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { KvmsecError, systemCode } from "../base/errors.ts";
import { tryLockFile } from "../native/file-lock.ts";
import type { FileLock } from "../native/file-lock.ts";
import type { Home } from "./home.ts";
import { openConfig, vmPaths } from "./vm-state.ts";
import type { VmConfig, VmPaths } from "./vm-state.ts";

/** A command that changes a VM waits so long for another one to be done with it. */
const PATIENCE_MS = 10_000;

/**
 * Lets one command at a time change a VM. Waits a while for another, then throws KVMSEC_VM_BUSY,
 * which names it by what it gave as `doing` (`vm start`). Throws KVMSEC_VM_MISSING, also where the
 * VM was deleted in the meantime.
 */
export async function withVm<Result>(
  home: Home,
  name: string,
  doing: string,
  work: (config: VmConfig, paths: VmPaths) => Promise<Result>,
): Promise<Result> {
  openConfig(home, name);
  const paths = vmPaths(home, name);
  const lock = await waitForLock(paths.lock, name);
  try {
    const config = openConfig(home, name);
    signLock(lock, doing);
    return await work(config, paths);
  } finally {
    lock[Symbol.dispose]();
  }
}

async function waitForLock(path: string, name: string): Promise<FileLock> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const lock = tryLock(path, name);
    if (lock !== undefined) return lock;
    if (Date.now() > deadline) throw busy(path, name);
    await sleep(50);
  }
}

function tryLock(path: string, name: string): FileLock | undefined {
  try {
    return tryLockFile(path);
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
    throw new KvmsecError("KVMSEC_VM_MISSING", `The VM ${name} was deleted just now.`);
  }
}

/** Writes into the lock's file who holds it. */
export function signLock(lock: FileLock, doing: string): void {
  ftruncateSync(lock.fd);
  writeSync(lock.fd, `'kvmsec ${doing}' (pid ${process.pid})\n`, 0);
}

/** Who signed the lock last. */
export function lockHolder(path: string): string {
  try {
    return readFileSync(path, "utf8").trim() || "another kvmsec";
  } catch {
    return "another kvmsec";
  }
}

function busy(path: string, name: string): KvmsecError {
  return new KvmsecError("KVMSEC_VM_BUSY", `${lockHolder(path)} is working on ${name}.`, {
    hint: "Wait for it to end, then try again.",
  });
}
