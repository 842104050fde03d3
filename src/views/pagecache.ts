import { PAGE_SIZE } from "../base/address.ts";
import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { usageError } from "../base/errors.ts";
import { Files } from "../linux/file.ts";
import type { FileType } from "../linux/file.ts";
import { InodePaths } from "../linux/inode-path.ts";
import { Inodes } from "../linux/inode.ts";
import type { Kernel } from "../linux/kernel.ts";
import { PageCache } from "../linux/page-cache.ts";
import type { Problem, View } from "./view.ts";

/** A file of which the guest holds pages in memory. */
export type CachedFile = {
  /** Undefined where no name of it is in memory (metadata of filesystems, block devices). */
  readonly path: string | undefined;
  /** Its other names. */
  readonly links: readonly string[];
  readonly type: FileType;
  readonly filesystem: string;
  /** `major:minor` in hexadecimal, as in /proc/PID/maps. */
  readonly device: string;
  readonly inode: number;
  /** Bytes. */
  readonly size: number;
  readonly cachedPages: number;
  /** Pages of the whole file. */
  readonly totalPages: number;
  /** Address of its struct inode. */
  readonly address: GuestVirtual;
};

export type CacheSelection = {
  /** Only files that these processes have open or mapped. */
  readonly pid?: readonly number[];
  /** Only the filesystem mounted there. */
  readonly mount?: string;
  /** Only files whose path begins so. */
  readonly path?: string;
};

/** The files that the guest has cached, filesystem by filesystem. */
export const pagecache: View<CachedFile, CacheSelection> = {
  schema: "kvmsec.pagecache/1",
  list: "files",
  *read(kernel, options, problem) {
    const budget = kernel.budget();
    const paths = new InodePaths(kernel, budget, problem);
    const cache = new PageCache(kernel);
    const files = new Files(kernel);
    for (const inode of selectInodes(kernel, paths, options, budget, problem)) {
      // What an inode borrows (a device file its device's pages) is shown once, where it is kept.
      const mapping = cache.mapping(inode);
      const cachedPages = cache.cachedPages(mapping);
      if (!(cachedPages > 0) || kernel.reader("address_space", "host")(mapping) !== inode) continue;
      const names = paths.all(inode, budget);
      const prefix = options.path ?? "";
      if (prefix !== "" && !names.some((name) => name.startsWith(prefix))) continue;
      const size = cache.size(inode);
      yield {
        path: names[0],
        links: names.slice(1),
        type: files.type(inode),
        filesystem: cache.filesystem(inode) ?? "?",
        ...files.identity(inode),
        size,
        cachedPages,
        totalPages: Math.ceil(size / PAGE_SIZE),
        address: inode,
      };
    }
    if (budget.exhausted) problem("there are more inodes than could be read in time");
  },
  json: ({ address, ...row }, kernel) => ({
    ...row,
    path: row.path ?? null,
    address: kernel.format(address),
  }),
};

function* selectInodes(
  kernel: Kernel,
  paths: InodePaths,
  { pid, mount }: CacheSelection,
  budget: Budget,
  problem: Problem,
): Generator<GuestVirtual> {
  const inodes = new Inodes(kernel);
  const superBlock = kernel.reader("inode", "i_sb");
  const wanted = mount === undefined ? undefined : mountedAt(paths, mount);
  if (pid !== undefined) {
    for (const inode of inodes.ofProcesses(pid, budget, problem)) {
      if (wanted === undefined || superBlock(inode) === wanted) yield inode;
    }
    return;
  }
  const blocks = wanted === undefined ? inodes.superBlocks(budget, problem) : [wanted];
  for (const block of blocks) yield* inodes.ofSuperBlock(block, budget, problem);
}

function mountedAt(paths: InodePaths, mountpoint: string): GuestVirtual {
  const superBlock = paths.superBlockAt(mountpoint);
  if (superBlock !== undefined) return superBlock;
  throw usageError(
    "KVMSEC_NOT_MOUNTED",
    `Nothing is mounted at ${mountpoint} in the guest.`,
    "kvmsec mounts TARGET lists what is.",
  );
}

/**
 * The cached file that `text` names: a path, or `DEVICE:INODE` as the list has them (`fe:00:12`).
 * Throws KVMSEC_NOT_CACHED, KVMSEC_FILE_AMBIGUOUS (usage).
 */
export function findCachedFile(kernel: Kernel, text: string, problem: Problem): CachedFile {
  const isPath = text.startsWith("/");
  const found: CachedFile[] = [];
  for (const file of pagecache.read(kernel, isPath ? { path: text } : {}, problem)) {
    const isIt = isPath
      ? file.path === text || file.links.includes(text)
      : `${file.device}:${file.inode}` === text;
    if (isIt) found.push(file);
  }
  if (found.length === 1) return found[0];
  if (found.length > 1) {
    const names = found.map(({ device, inode }) => `${device}:${inode}`).join(", ");
    throw usageError(
      "KVMSEC_FILE_AMBIGUOUS",
      `Several files are called ${text}.`,
      `Name one: ${names}.`,
    );
  }
  throw usageError(
    "KVMSEC_NOT_CACHED",
    `No page of ${text} is in the guest's memory.`,
    "kvmsec pagecache list TARGET shows which files are; name one by its path or by DEVICE:INODE.",
  );
}
