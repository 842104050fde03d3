import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import { listSnapshot } from "./list-snapshot.ts";
import type { Reader } from "./member-reader.ts";
import { PointerCache } from "./pointer-cache.ts";
import { TextRoom } from "./text-room.ts";

const MAX_DEPTH = 256;
const NAME_MAX = 255;
/** Four times what the kernel itself can name (PATH_MAX, include/uapi/linux/limits.h). */
const MAX_LENGTH = 16_384;

/** Names control groups (struct cgroup, struct kernfs_node). */
export class Cgroups {
  readonly #kernel: Kernel;
  readonly #defaultGroup: Reader;
  readonly #node: Reader;
  readonly #name: Reader;
  readonly #parent: Reader;
  readonly #linksHead: number;
  readonly #link: number;
  readonly #linkGroup: Reader;
  #room = new TextRoom();
  readonly #known = new PointerCache<string>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#defaultGroup = kernel.reader("css_set", "dfl_cgrp");
    this.#linksHead = kernel.offset("css_set", "cgrp_links");
    this.#link = kernel.offset("cgrp_cset_link", "cgrp_link");
    this.#linkGroup = kernel.reader("cgrp_cset_link", "cgrp");
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

  /** The groups of the tasks that share `cssSet`, one of each hierarchy (struct cgrp_cset_link). */
  groups(cssSet: GuestVirtual, budget: Budget, problem?: (reason: string) => void): GuestVirtual[] {
    const head = cssSet + this.#linksHead;
    return listSnapshot(this.#kernel, head, this.#link, budget, problem).map(this.#linkGroup);
  }

  /** Paths in all hierarchies. */
  paths(cssSet: GuestVirtual, budget: Budget): string[] {
    return this.groups(cssSet, budget).flatMap((group) => this.pathOfCgroup(group) ?? []);
  }

  /** Some paths were left out: together they are longer than any true ones. */
  get exhausted(): boolean {
    return this.#room.exhausted;
  }

  forget(): void {
    this.#room = new TextRoom();
    this.#known.clear();
  }

  /** Path of a `struct cgroup` from its hierarchy's root. */
  pathOfCgroup(cgroup: GuestVirtual): string | undefined {
    return this.#pathOf(this.#node(cgroup));
  }

  #pathOf(node: GuestVirtual): string | undefined {
    const names: string[] = [];
    let length = 0;
    let at = node;
    for (let depth = 0; depth < MAX_DEPTH && length < MAX_LENGTH; depth++) {
      const parent = this.#parent(at);
      if (parent !== parent) return undefined;
      if (parent === 0) {
        return this.#room.take(length) ? `/${names.toReversed().join("/")}` : undefined;
      }
      const name = this.#kernel.space.string(this.#name(at), NAME_MAX);
      if (name === undefined) return undefined;
      names.push(name);
      length += name.length + 1;
      at = parent;
    }
    return undefined;
  }
}
