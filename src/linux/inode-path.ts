import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { Inodes } from "./inode.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { MountNamespaces } from "./mount-namespace.ts";
import { Paths } from "./path.ts";

const MAX_COMPONENTS = 2048;
const MAX_ALIASES = 64;

/** Where a filesystem is mounted. */
type MountedAt = { readonly vfsmount: GuestVirtual; readonly root: GuestVirtual };

/** Finds the paths of an inode: by its dentries, through a mount that shows them. */
export class InodePaths {
  readonly #paths: Paths;
  readonly #inodes: Inodes;
  readonly #mounts = new Map<GuestVirtual, MountedAt[]>();
  readonly #parent: Reader;
  readonly #superBlock: Reader;

  /** Mounts of the initial namespace count first, then those of all others. */
  constructor(kernel: Kernel, budget: Budget, problem: (reason: string) => void) {
    this.#paths = new Paths(kernel);
    this.#inodes = new Inodes(kernel);
    this.#parent = kernel.reader("dentry", "d_parent");
    this.#superBlock = kernel.reader("inode", "i_sb");
    const root = kernel.reader("mount", "mnt.mnt_root");
    const block = kernel.reader("mount", "mnt.mnt_sb");
    const vfsmount = kernel.offset("mount", "mnt");
    const namespaces = new MountNamespaces(kernel);
    for (const { address } of namespaces.all(budget, problem)) {
      for (const mount of namespaces.mounts(address, budget, problem)) {
        const known = this.#mounts.get(block(mount)) ?? [];
        known.push({ vfsmount: mount + vfsmount, root: root(mount) });
        this.#mounts.set(block(mount), known);
      }
    }
  }

  /** The filesystem that is seen at a mountpoint: of several, the one mounted last. */
  superBlockAt(mountpoint: string): GuestVirtual | undefined {
    let found: GuestVirtual | undefined;
    for (const [superBlock, mounts] of this.#mounts) {
      const isThere = mounts.some(
        ({ vfsmount, root }) => this.#paths.absolute(vfsmount, root) === mountpoint,
      );
      if (isThere) found = superBlock;
    }
    return found;
  }

  /**
   * Paths from the root, those that still exist first, ` (deleted)` behind those that do not;
   * within an internal filesystem only names. Empty where no name of the inode is in memory.
   */
  all(inode: GuestVirtual, budget: Budget): string[] {
    const superBlock = this.#superBlock(inode);
    const existing: string[] = [];
    const deleted: string[] = [];
    for (const dentry of this.#inodes.aliases(inode, budget)) {
      const text = this.#pathOf(dentry, superBlock);
      const list = this.#paths.deleted(dentry) ? deleted : existing;
      if (text !== undefined) list.push(text);
      if (existing.length + deleted.length === MAX_ALIASES) break;
    }
    return [...existing, ...deleted];
  }

  #pathOf(dentry: GuestVirtual, superBlock: GuestVirtual): string | undefined {
    const mounts = this.#mounts.get(superBlock) ?? [];
    const above = mounts.length === 0 ? undefined : this.#ancestors(dentry);
    const mount = mounts.find(({ root }) => above?.has(root));
    return mount === undefined
      ? this.#paths.name(dentry)
      : this.#paths.absolute(mount.vfsmount, dentry);
  }

  /** The dentry itself and all directories above it, within its filesystem. */
  #ancestors(dentry: GuestVirtual): Set<GuestVirtual> {
    const found = new Set<GuestVirtual>();
    for (let at = dentry; at < 0 && found.size < MAX_COMPONENTS; at = this.#parent(at)) {
      if (found.has(at)) break;
      found.add(at);
    }
    return found;
  }
}
