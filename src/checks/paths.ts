import { posix } from "node:path";

/** Folders where anybody may write, or that are gone after a boot. */
const VOLATILE = /^\/(tmp|var\/tmp|run\/user|home|run\/lock|var\/lock)\//;

/** Whether a path lies where no distribution and no administrator installs programs. */
export function isVolatilePath(path: string): boolean {
  return VOLATILE.test(path) || path.startsWith("/dev/");
}

/** As the kernel would find it: `//tmp/x` and `/usr/../tmp/x` are `/tmp/x`, and /var/run is /run. */
export function plainPath(path: string): string {
  return posix.normalize(path).replace(/^\/\/?var\/run\//, "/run/");
}

/** The path without the kernel's mark for an unlinked file. */
export function withoutDeleted(path: string): string {
  return path.replace(/ \(deleted\)$/, "");
}
