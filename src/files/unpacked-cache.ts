import { createHash } from "node:crypto";
import { readFileSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { putIntoCache } from "../base/cache-file.ts";
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

  /** What `packed` unpacks to: kept, or made now. */
  get<T>(packed: Uint8Array, make: () => Uint8Array | T): Uint8Array | T {
    const path = join(this.#folder, createHash("sha256").update(packed).digest("hex"));
    const kept = load(path);
    if (kept !== undefined) return kept;
    const made = make();
    if (made instanceof Uint8Array) putIntoCache(path, made, KEPT);
    return made;
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
