import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const aMinute = 60_000;
const anHour = 60 * aMinute;

/**
 * A new folder for a guest, in shared memory where there is some because RAM files live in it.
 * Folders of test processes that were killed are removed on the way.
 */
export function guestHome(): string {
  const base = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  const mine = join(base, `kvmsec-guests-${process.getuid?.() ?? 0}`);
  mkdirSync(mine, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(mine)) {
    const home = join(mine, name);
    if (abandoned(home)) rmSync(home, { recursive: true, force: true });
  }
  return mkdtempSync(join(mine, `guest-${process.pid}-`));
}

/** The file that a guest's QEMU holds a lock on for as long as it lives. */
export function aliveFile(home: string): string {
  return join(home, "alive");
}

/**
 * Process ids say nothing here: another container may share this folder. A young lock file may be
 * one that its QEMU is just about to lock.
 */
function abandoned(home: string): boolean {
  const alive = aliveFile(home);
  if (age(alive) > aMinute) {
    return spawnSync("flock", ["--nonblock", alive, "true"]).status === 0;
  }
  return !existsSync(alive) && age(home) > anHour;
}

/** In milliseconds; 0 for what is not there. */
function age(path: string): number {
  const changed = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
  return changed === undefined ? 0 : Date.now() - changed;
}
