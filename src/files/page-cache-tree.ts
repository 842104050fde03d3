import type { GuestVirtual } from "../base/address.ts";
import { Files } from "../linux/file.ts";
import { copyPieces } from "../linux/file-copy.ts";
import { InodePaths } from "../linux/inode-path.ts";
import { Inodes } from "../linux/inode.ts";
import type { Kernel } from "../linux/kernel.ts";
import { PageCache } from "../linux/page-cache.ts";
import { NO_FILE } from "./file-tree.ts";
import type { FileBytes, FileEntry, FileTree } from "./file-tree.ts";

/** Files of these names are looked for: kernels and modules. */
const WANTED = /\/(?:vmlinu[xz][^/]*|[^/]+\.ko(?:\.(?:gz|xz|zst))?)$/;

/** Kernels and modules of which the guest holds every byte in memory, from having read or written them. */
export class PageCacheTree implements FileTree {
  readonly name = "the guest's page cache";
  readonly #kernel: Kernel;
  readonly #inodes: ReadonlyMap<string, GuestVirtual>;

  /** Looks through all inodes in memory: costly. Throws where the kernel's types are not known. */
  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#inodes = wantedFiles(kernel);
  }

  get paths(): string[] {
    return [...this.#inodes.keys()];
  }

  read(path: string, limit: number): FileBytes {
    const inode = this.#inodes.get(path);
    if (inode === undefined) return { missing: NO_FILE };
    const cache = new PageCache(this.#kernel);
    const size = cache.size(inode);
    if (!(size <= limit)) return { missing: `it has ${size} bytes` };
    const chunks: Uint8Array[] = [];
    const problems: string[] = [];
    const copy = copyPieces(
      cache.pieces(inode, this.#kernel.budget(), (reason) => problems.push(reason)),
      (_, bytes) => chunks.push(bytes),
    );
    const { holes } = copy;
    if (holes.length > 0)
      return { missing: `only ${copy.copied} of its ${size} bytes are in memory` };
    if (problems.length > 0) return { missing: problems[0] };
    return { bytes: Buffer.concat(chunks) };
  }

  list(path: string): FileEntry[] {
    const prefix = path.endsWith("/") ? path : `${path}/`;
    const names = this.paths
      .filter((one) => one.startsWith(prefix) && !one.slice(prefix.length).includes("/"))
      .map((one) => one.slice(prefix.length));
    return names.map((name) => ({ name, folder: false }));
  }
}

function wantedFiles(kernel: Kernel): Map<string, GuestVirtual> {
  const budget = kernel.budget();
  const inodes = new Inodes(kernel);
  const paths = new InodePaths(kernel, budget, () => {});
  const cache = new PageCache(kernel);
  const files = new Files(kernel);
  const found = new Map<string, GuestVirtual>();
  for (const block of inodes.superBlocks(budget)) {
    for (const inode of inodes.ofSuperBlock(block, budget)) {
      if (!(cache.cachedPages(cache.mapping(inode)) > 0) || files.type(inode) !== "file") continue;
      for (const path of paths.all(inode, budget)) if (WANTED.test(path)) found.set(path, inode);
    }
  }
  return found;
}
