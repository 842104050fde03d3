import { homedir } from "node:os";
import { join } from "node:path";

/** Where this user's caches of that kind lie: `~/.cache/kvmsec/KIND` (XDG Base Directory). Makes nothing. */
export function cacheFolder(
  kind: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string {
  const named = environment["XDG_CACHE_HOME"];
  const base = named === undefined || named === "" ? join(homedir(), ".cache") : named;
  return join(base, "kvmsec", kind);
}
