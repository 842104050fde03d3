import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { PointerCache } from "./pointer-cache.ts";

const MAX_DEPTH = 256;
const NAME_MAX = 255;

/** Names control groups (struct cgroup, struct kernfs_node). */
export class Cgroups {
  readonly #kernel: Kernel;
  readonly #defaultGroup: Reader;
  readonly #node: Reader;
  readonly #name: Reader;
  readonly #parent: Reader;
  readonly #known = new PointerCache<string>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#defaultGroup = kernel.reader("css_set", "dfl_cgrp");
    this.#node = kernel.reader("cgroup", "kn");
    this.#name = kernel.reader("kernfs_node", "name");
    // `parent` became `__parent` in 6.15.
    const parent = kernel.readerOf("kernfs_node", "__parent", "parent");
    this.#parent = parent ?? kernel.reader("kernfs_node", "__parent");
  }

  /** Path in the unified hierarchy of the tasks that share `cssSet`, as /proc/PID/cgroup shows it. */
  path(cssSet: GuestVirtual): string | undefined {
    const known = this.#known.get(cssSet);
    if (known !== undefined) return known;
    const path = this.#pathOf(this.#node(this.#defaultGroup(cssSet)));
    return path === undefined ? undefined : this.#known.set(cssSet, path);
  }

  forget(): void {
    this.#known.clear();
  }

  /** Path of a `struct cgroup` from its hierarchy's root. */
  pathOfCgroup(cgroup: GuestVirtual): string | undefined {
    return this.#pathOf(this.#node(cgroup));
  }

  #pathOf(node: GuestVirtual): string | undefined {
    const names: string[] = [];
    let at = node;
    for (let depth = 0; depth < MAX_DEPTH; depth++) {
      const parent = this.#parent(at);
      if (parent !== parent) return undefined;
      if (parent === 0) return `/${names.toReversed().join("/")}`;
      const name = this.#kernel.space.string(this.#name(at), NAME_MAX);
      if (name === undefined) return undefined;
      names.push(name);
      at = parent;
    }
    return undefined;
  }
}
