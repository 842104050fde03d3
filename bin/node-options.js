// How the program is run by Node. Plain JavaScript, so that an old Node can read it.
import { lstatSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/**
 * A monitor stays for weeks beside the guests that it watches: young objects get less room than V8
 * gives a server, and old ones are collected at half as much again as lived on (V8 waits for several
 * times that). A third less memory, for a few hundredths of the time.
 */
export const nodeFlags = [
  "--disable-warning=ExperimentalWarning",
  "--conditions=kvmsec-source",
  "--max-semi-space-size=4",
  "--heap-growing-percent=50",
];

/**
 * Where Node keeps the stripped and compiled form of each file, which halves the start: a folder
 * that this user alone may write to, for whoever writes there has kvmsec run it. Node's own place
 * under /tmp may be made by anybody. Undefined where there is no such folder.
 */
export function compileCache(environment = process.env) {
  try {
    const base = environment.XDG_CACHE_HOME || join(environment.HOME || homedir(), ".cache");
    const folder = join(base, "kvmsec/compiled");
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const safe = [join(base, "kvmsec"), folder].every((each) => {
      const found = lstatSync(each);
      const mine = found.isDirectory() && found.uid === process.geteuid?.();
      return mine && (found.mode & 0o022) === 0;
    });
    return safe ? folder : undefined;
  } catch {
    return undefined;
  }
}
