import { fork } from "node:child_process";
import { existsSync } from "node:fs";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { KvmsecError } from "../base/errors.ts";
import { tryLockFile } from "../native/file-lock.ts";
import type { Home } from "./home.ts";
import { packetState } from "./packet-files.ts";
import { findConfig, findRun, vmNames, vmPaths } from "./vm-state.ts";

/** Held by the process that keeps the packets of a home's VMs within their bounds. */
export function packetKeeperLock(root: string): string {
  return join(root, "packets.lock");
}

/** The VMs whose packets are kept now. One whose documents are damaged is nobody's who keeps packets. */
export function vmsWithPackets(home: Home): string[] {
  return vmNames(home).filter((name) => {
    try {
      return hasPackets(home, name);
    } catch (error) {
      if (error instanceof KvmsecError) return false;
      throw error;
    }
  });
}

function hasPackets(home: Home, name: string): boolean {
  const paths = vmPaths(home, name);
  // The quickest question first: this is asked again and again.
  const config = existsSync(paths.packetState) ? findConfig(home, name) : undefined;
  return config !== undefined && packetState(paths, findRun(home, config)) !== undefined;
}

/**
 * Starts the process that does it, where none is there: one a home, for all its VMs, outliving
 * whoever starts it as the VMs do, and ending with the last of them.
 */
export function startPacketKeeper(root: string): void {
  const lock = tryLockFile(packetKeeperLock(root));
  if (lock === undefined) return;
  lock[Symbol.dispose]();
  const program = new URL(`./packet-keeper${extname(import.meta.filename)}`, import.meta.url);
  const child = fork(fileURLToPath(program), [root], {
    detached: true,
    cwd: root,
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  // Nobody waits for it: another look starts another one where it could not be started.
  child.on("error", () => {});
  child.disconnect();
  child.unref();
}
