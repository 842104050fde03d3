import { mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/**
 * Puts a file into the folder of a cache, whole or not at all, and drops what was touched longest ago
 * where there are more than `most`, with what others left half-written. A cache that cannot be written
 * only costs time, so failures are not reported.
 */
export function putIntoCache(path: string, bytes: Uint8Array, most: number): void {
  const folder = dirname(path);
  const partial = join(folder, `.${basename(path)}.${process.pid}`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    try {
      writeFileSync(partial, bytes, { mode: 0o600 });
      renameSync(partial, path);
    } finally {
      rmSync(partial, { force: true });
    }
    prune(folder, most);
  } catch {
    // It is made again when it is needed.
  }
}

function prune(folder: string, most: number): void {
  const files = readdirSync(folder)
    .map((name) => join(folder, name))
    .map((path) => ({ path, at: statSync(path).mtimeMs }));
  for (const { path } of files.toSorted((a, b) => b.at - a.at).slice(most)) {
    rmSync(path, { force: true });
  }
}
