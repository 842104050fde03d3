import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { SymbolCache } from "../linux/discovery/symbol-cache.ts";

/** Keeps decoded symbols as files, one a build id, under the user's cache folder. */
export class FileSymbolCache implements SymbolCache {
  readonly #folder: string;

  constructor(folder: string = defaultFolder()) {
    this.#folder = folder;
  }

  load(buildId: string): Uint8Array | undefined {
    try {
      return readFileSync(this.#path(buildId));
    } catch {
      return undefined;
    }
  }

  /** A cache that cannot be written only costs time, so failures are not reported. */
  store(buildId: string, bytes: Uint8Array): void {
    const path = this.#path(buildId);
    const partial = `${path}.${process.pid}`;
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
      writeFileSync(partial, bytes, { mode: 0o600 });
      renameSync(partial, path);
    } catch {
      // The next look decodes again.
    }
  }

  /** `buildId` is lower-case hexadecimal by construction, so it cannot name another folder. */
  #path(buildId: string): string {
    return join(this.#folder, `${buildId}.symbols`);
  }
}

function defaultFolder(): string {
  const base = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  return join(base, "kvmsec", "kernels");
}
