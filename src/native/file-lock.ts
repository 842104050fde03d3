import { closeSync, constants, fstatSync, openSync, statSync } from "node:fs";
import { errnoName, libc } from "./libc.ts";

// Safe: two plain numbers; flock(2) touches no memory.
const flock = libc.func("int flock(int fd, int operation)");

const LOCK_EX = 2;
const LOCK_NB = 4;

/** A lock that the kernel drops with its holder, however the holder ends. */
export type FileLock = Disposable & { readonly fd: number };

/**
 * Takes the lock on a file, which is made where it is missing, or returns undefined where another
 * holds it (flock(2), LOCK_EX | LOCK_NB). Children do not inherit it: Node opens with O_CLOEXEC.
 */
export function tryLockFile(path: string): FileLock | undefined {
  for (;;) {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    if ((flock(fd, LOCK_EX | LOCK_NB) as number) !== 0) {
      const reason = errnoName();
      closeSync(fd);
      if (reason === "EAGAIN") return undefined;
      throw Object.assign(new Error(`flock ${path}: ${reason}`), { code: reason });
    }
    if (isStill(path, fd)) return { fd, [Symbol.dispose]: () => closeSync(fd) };
    // Its last holder removed the file between our open and our lock.
    closeSync(fd);
  }
}

function isStill(path: string, fd: number): boolean {
  const there = statSync(path, { throwIfNoEntry: false });
  const ours = fstatSync(fd);
  return there !== undefined && there.ino === ours.ino && there.dev === ours.dev;
}
