import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import { hlistEntries, listEntries } from "./list.ts";
import type { Reader } from "./member-reader.ts";
import { Paths } from "./path.ts";

/** A name that the guest has looked up lately, and what it found. */
export type CachedName =
  | { readonly kind: "file"; readonly inode: GuestVirtual; readonly dentry: GuestVirtual }
  | { readonly kind: "absent" }
  /** Nobody asked for it lately. */
  | { readonly kind: "unknown" };

/** Finds names below a directory as the kernel remembers them (struct dentry, include/linux/dcache.h). */
export class DentryTree {
  readonly #paths: Paths;
  readonly #children: (dentry: GuestVirtual, budget: Budget) => Iterable<GuestVirtual>;
  readonly #hashed: Reader;

  constructor(kernel: Kernel) {
    this.#paths = new Paths(kernel);
    this.#hashed = kernel.reader("dentry", "d_hash.pprev");
    this.#children = childWalk(kernel);
  }

  /** Follows plain names down from a directory; mounts and links on the way are not followed. */
  find(directory: GuestVirtual, names: readonly string[], budget: Budget): CachedName {
    let at = directory;
    for (const name of names) {
      const child = this.#child(at, name, budget);
      if (child === undefined) return { kind: "unknown" };
      at = child;
    }
    const inode = this.#paths.inode(at);
    if (inode === 0) return { kind: "absent" };
    return inode < 0 ? { kind: "file", inode, dentry: at } : { kind: "unknown" };
  }

  /** A name may have old dentries beside the one that is looked up. */
  #child(directory: GuestVirtual, name: string, budget: Budget): GuestVirtual | undefined {
    for (const dentry of this.#children(directory, budget)) {
      if (this.#hashed(dentry) !== 0 && this.#paths.name(dentry) === name) return dentry;
    }
    return undefined;
  }
}

/** Children were a list until 6.8 (da549bdd15c2), and a hash list since. */
function childWalk(kernel: Kernel) {
  const head = kernel.types.member("dentry", "d_children")?.offset;
  if (head !== undefined) {
    const link = kernel.offset("dentry", "d_sib");
    return (dentry: GuestVirtual, budget: Budget) =>
      hlistEntries(kernel, dentry + head, link, budget);
  }
  const list = kernel.offset("dentry", "d_subdirs");
  const link = kernel.offset("dentry", "d_child");
  return (dentry: GuestVirtual, budget: Budget) => listEntries(kernel, dentry + list, link, budget);
}
