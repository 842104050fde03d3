import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * A new folder for a guest, in shared memory where there is some because RAM files live in it.
 * Folders of test processes that were killed are removed on the way.
 */
export function guestHome(): string {
  const base = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  const mine = join(base, `kvmsec-test-${process.getuid?.() ?? 0}`);
  mkdirSync(mine, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(mine)) {
    const owner = Number(name.split("-")[1]);
    if (!existsSync(`/proc/${owner}`)) rmSync(join(mine, name), { recursive: true, force: true });
  }
  return mkdtempSync(join(mine, `guest-${process.pid}-`));
}
