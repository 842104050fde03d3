import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { putIntoCache } from "../base/cache-file.ts";
import { cacheFolder } from "../base/cache-folder.ts";
import type { KnownKernel, SymbolCache } from "../linux/discovery/symbol-cache.ts";

const NAME = /^([0-9a-f]{40})-([0-9a-f]{1,8})-([0-9a-f]{1,8})\.symbols$/;

/** Each has some 3 MB. */
const MOST_KERNELS = 64;

/** Keeps decoded symbols as files, one a kernel, whose names alone say how to recognise it. */
export class FileSymbolCache implements SymbolCache {
  readonly #folder: string;

  constructor(folder: string = cacheFolder("kernels")) {
    this.#folder = folder;
  }

  known(): KnownKernel[] {
    let names: string[];
    try {
      names = readdirSync(this.#folder);
    } catch {
      return [];
    }
    return names.flatMap((name) => {
      const [, buildId, buildIdOffset, level3Offset] = NAME.exec(name) ?? [];
      if (buildId === undefined) return [];
      return [
        {
          buildId,
          buildIdOffset: Number.parseInt(buildIdOffset, 16),
          level3Offset: Number.parseInt(level3Offset, 16),
        },
      ];
    });
  }

  load(kernel: KnownKernel): Uint8Array | undefined {
    try {
      return readFileSync(this.#path(kernel));
    } catch {
      return undefined;
    }
  }

  /** A guest can make up build ids as it likes: only so many are kept. */
  store(kernel: KnownKernel, symbols: Uint8Array): void {
    putIntoCache(this.#path(kernel), symbols, MOST_KERNELS);
  }

  #path({ buildId, buildIdOffset, level3Offset }: KnownKernel): string {
    const offsets = [buildIdOffset, level3Offset].map((offset) => offset.toString(16));
    return join(this.#folder, `${buildId}-${offsets.join("-")}.symbols`);
  }
}
