import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const anHour = 3_600_000;

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

/** Process ids say nothing here: another container may share this folder. */
function abandoned(home: string): boolean {
  const alive = aliveFile(home);
  if (existsSync(alive)) return spawnSync("flock", ["--nonblock", alive, "true"]).status === 0;
  const made = statSync(home, { throwIfNoEntry: false })?.mtimeMs;
  return made !== undefined && Date.now() - made > anHour;
}
