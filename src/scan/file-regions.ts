import { Budget } from "../base/budget.ts";
import type { Kernel } from "../linux/kernel.ts";
import { PageCache } from "../linux/page-cache.ts";
import { pagecache } from "../views/pagecache.ts";
import type { Piece, Region } from "./region.ts";

/** Every file as far as the guest holds it in memory. */
export function* fileRegions(kernel: Kernel, problem: (reason: string) => void): Generator<Region> {
  const cache = new PageCache(kernel);
  const files = [...pagecache.read(kernel, {}, problem)];
  for (const { path, device, inode, size, address } of files) {
    const name = path ?? `${device}:${inode}`;
    yield {
      scope: "pagecache",
      name,
      size,
      pieces: cached(cache, address, (reason) => problem(`${name}: ${reason}`)),
      place: (at) => ({ file: name, offset: at }),
    };
  }
}

function* cached(
  cache: PageCache,
  inode: number,
  problem: (reason: string) => void,
): Generator<Piece> {
  for (const { offset, bytes } of cache.pieces(inode, new Budget(), problem)) {
    if (bytes !== undefined) yield { at: offset, bytes };
  }
}
