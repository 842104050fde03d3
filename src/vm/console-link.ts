import { KvmsecError, systemCode, usageError } from "../base/errors.ts";
import { tryLockFile } from "../native/file-lock.ts";
import { connectSocket } from "../qmp/transport.ts";
import type { GuestVm } from "./guest-vm.ts";
import { openHome } from "./home.ts";
import type { Home } from "./home.ts";
import { lockHolder, signLock } from "./vm-lock.ts";
import { vmPaths } from "./vm-state.ts";

/** The serial console of a running VM. What the guest prints is the guest's: hostile. */
export type ConsoleLink = Disposable & {
  /** Settles when QEMU closes the console: the guest is gone. */
  readonly ended: Promise<void>;
  /** Calls the listener with each piece of the guest's output. */
  onOutput(listener: (bytes: Uint8Array) => void): void;
  /** Types into the console. */
  write(bytes: Uint8Array | string): void;
};

/**
 * Sits down at a VM's serial console; it seats one. Output from before is not shown: nobody kept it.
 * Throws KVMSEC_VM_NOT_RUNNING, KVMSEC_CONSOLE_BUSY.
 */
export async function openConsole(vm: GuestVm, home: Home = openHome()): Promise<ConsoleLink> {
  if (vm.run === undefined) {
    throw usageError(
      "KVMSEC_VM_NOT_RUNNING",
      `${vm.name} does not run.`,
      `Start it: kvmsec vm start ${vm.name}`,
    );
  }
  const path = vmPaths(home, vm.name).consoleLock;
  const lock = tryLockFile(path);
  if (lock === undefined) {
    throw new KvmsecError(
      "KVMSEC_CONSOLE_BUSY",
      `${lockHolder(path)} sits at the console of ${vm.name}.`,
      { hint: "The console seats one: leave it there first." },
    );
  }
  try {
    signLock(lock, `vm console ${vm.name}`);
    const socket = await connectSocket(vm.sockets.console);
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    socket.on("close", () => resolve());
    // An error is followed by close, which is all that there is to tell.
    socket.on("error", () => {});
    return {
      ended,
      onOutput: (listener) => void socket.on("data", listener),
      write: (bytes) => void socket.write(bytes),
      [Symbol.dispose]() {
        socket.destroy();
        lock[Symbol.dispose]();
      },
    };
  } catch (error) {
    lock[Symbol.dispose]();
    if (!["ENOENT", "ECONNREFUSED"].includes(systemCode(error) ?? "")) throw error;
    throw usageError("KVMSEC_VM_NOT_RUNNING", `${vm.name} does not run.`);
  }
}

/** What a getty prints. */
const LOGIN = /\blogin: /;
/** So much of the output is searched for the prompt. */
const WINDOW = 512;

/**
 * Waits until the guest offers a login on its console; rejects with KVMSEC_VM_BOOT_TIMEOUT, or
 * KVMSEC_VM_ENDED where it ends before. `onLine` is told each line that it prints.
 */
export async function waitForLogin(
  link: ConsoleLink,
  name: string,
  timeoutMs: number,
  onLine: (line: string) => void = () => {},
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const decoder = new TextDecoder();
  let tail = "";
  let line = "";
  link.onOutput((bytes) => {
    const text = decoder.decode(bytes, { stream: true });
    tail = (tail + text).slice(-WINDOW - text.length);
    if (LOGIN.test(tail)) resolve();
    tail = tail.slice(-WINDOW);
    const lines = (line + text).split(/[\r\n]+/);
    line = (lines.pop() ?? "").slice(-WINDOW);
    const last = lines.findLast((text) => text.trim() !== "");
    if (last !== undefined) onLine(last);
  });
  void link.ended.then(() =>
    reject(
      new KvmsecError("KVMSEC_VM_ENDED", `${name} ended before it offered a login.`, {
        hint: `See what it prints: kvmsec vm start ${name}, then kvmsec vm console ${name}`,
      }),
    ),
  );
  const timer = setTimeout(() => {
    reject(
      new KvmsecError(
        "KVMSEC_VM_BOOT_TIMEOUT",
        `${name} offered no login within ${timeoutMs / 1000} s; it runs on.`,
        { hint: `Look at its console: kvmsec vm console ${name}` },
      ),
    );
  }, timeoutMs);
  return promise.finally(() => clearTimeout(timer));
}
