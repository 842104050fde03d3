import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { KvmsecError, usageError } from "../base/errors.ts";
import { tryLockFile } from "../native/file-lock.ts";
import { connectQmp } from "../qmp/connection.ts";
import type { QmpConnection } from "../qmp/connection.ts";
import { listVms } from "../vm/guest-vm.ts";
import type { GuestVm } from "../vm/guest-vm.ts";
import type { Home } from "../vm/home.ts";
import { monitorFor } from "../vm/monitor-choice.ts";
import { isRunning, processIdentity } from "../vm/process-identity.ts";
import type { ProcessIdentity } from "../vm/process-identity.ts";
import type { QemuProcess } from "../vm/qemu-process.ts";
import { findTarget } from "../vm/target.ts";
import { lockHolder, signLock } from "../vm/vm-lock.ts";

/** A running guest that can be acted upon: its QEMU and the monitor that serves us. */
export type ControlledGuest = {
  /** The target as the user wrote it. */
  readonly text: string;
  readonly qemu: QemuProcess;
  readonly identity: ProcessIdentity;
  /** Where it is a VM of this home. */
  readonly vm: GuestVm | undefined;
  /** The QMP socket. */
  readonly socket: string;
};

const PATIENCE_MS = 10_000;

/**
 * Finds a running guest and the way to its monitor: a VM of this home by its own socket, any other
 * by the sockets on its command line. Throws KVMSEC_TARGET_UNKNOWN, KVMSEC_TARGET_NO_MONITOR.
 */
export function controlGuest(home: Home, text: string): ControlledGuest {
  const target = findTarget(text);
  if (target.kind !== "qemu") {
    throw usageError("KVMSEC_TARGET_NOT_RUNNING", `${text} is a dump; nothing can be done to it.`);
  }
  const { qemu } = target;
  const identity = processIdentity(qemu.pid);
  if (identity === undefined) throw gone(text);
  // Another VM's damage is no reason to leave this one alone.
  const vm = listVms(home, () => {}).find(({ run }) => run?.pid === qemu.pid);
  const socket = vm?.sockets.operator ?? monitorFor(qemu);
  if (socket !== undefined) return { text, qemu, identity, vm, socket };
  throw new KvmsecError(
    "KVMSEC_TARGET_NO_MONITOR",
    `The QEMU of ${text} (pid ${qemu.pid}) serves no QMP on a unix socket, so nobody can steer it.`,
    { hint: "Start it with -qmp unix:PATH,server=on,wait=off." },
  );
}

/** Connects to the guest's monitor. Throws KVMSEC_TARGET_GONE where its QEMU has ended. */
export async function monitorOf(guest: ControlledGuest): Promise<QmpConnection> {
  if (!isRunning(guest.identity)) throw gone(guest.text);
  return connectQmp(guest.socket);
}

/**
 * Lets one reaction at a time work on a guest, whoever started it. Waits a while for another, then
 * throws KVMSEC_GUEST_BUSY, which names it.
 */
export async function lockGuest(
  home: Home,
  { identity, text }: Pick<ControlledGuest, "identity" | "text">,
  doing: string,
): Promise<Disposable> {
  const folder = join(home.root, "journal", "locks");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = join(folder, `${identity.pid}-${identity.startTime}`);
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const lock = tryLockFile(path);
    if (lock !== undefined) {
      signLock(lock, doing);
      return lock;
    }
    if (Date.now() > deadline) {
      throw new KvmsecError("KVMSEC_GUEST_BUSY", `${lockHolder(path)} is working on ${text}.`, {
        hint: "Wait for it to end, then try again.",
      });
    }
    await sleep(20);
  }
}

function gone(text: string): KvmsecError {
  return new KvmsecError("KVMSEC_TARGET_GONE", `The guest ${text} has ended.`, {
    hint: "kvmsec targets lists the guests that run.",
  });
}
