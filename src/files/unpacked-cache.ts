import { createHash } from "node:crypto";
import {
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { cacheFolder } from "../base/cache-folder.ts";

/** Unpacked kernels that are kept; each has about 60 MB. */
const KEPT = 6;

/**
 * Keeps what takes seconds to unpack. A file is named by the SHA-256 of what it was unpacked from,
 * not by a build id: so nothing that one guest has on its disk is ever taken for another's.
 */
export class UnpackedCache {
  readonly #folder: string;

  constructor(folder: string = cacheFolder("unpacked")) {
    this.#folder = folder;
  }

  /** What `packed` unpacks to: kept, or made now. A cache that cannot be written only costs time. */
  get<T>(packed: Uint8Array, make: () => Uint8Array | T): Uint8Array | T {
    const path = join(this.#folder, createHash("sha256").update(packed).digest("hex"));
    const kept = load(path);
    if (kept !== undefined) return kept;
    const made = make();
    if (made instanceof Uint8Array) this.#store(path, made);
    return made;
  }

  #store(path: string, bytes: Uint8Array): void {
    const partial = `${path}.${process.pid}`;
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
      writeFileSync(partial, bytes, { mode: 0o600 });
      renameSync(partial, path);
      this.#prune();
    } catch {
      discard(partial);
    }
  }

  /** Drops those that were not used for the longest time. */
  #prune(): void {
    const files = readdirSync(this.#folder).map((name) => join(this.#folder, name));
    const used = files.map((path) => ({ path, at: statSync(path).mtimeMs }));
    for (const { path } of used.toSorted((a, b) => b.at - a.at).slice(KEPT)) {
      rmSync(path, { force: true });
    }
  }
}

function discard(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // It never came to be.
  }
}

function load(path: string): Uint8Array | undefined {
  try {
    const bytes = readFileSync(path);
    const now = new Date();
    utimesSync(path, now, now);
    return bytes;
  } catch {
    return undefined;
  }
}
