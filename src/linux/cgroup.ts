import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

const MAX_DEPTH = 256;
const NAME_MAX = 255;

/** Names control groups (struct cgroup, struct kernfs_node) and the containers behind them. */
export class Cgroups {
  readonly #kernel: Kernel;
  readonly #defaultGroup: Reader;
  readonly #node: Reader;
  readonly #name: Reader;
  readonly #parent: Reader;
  readonly #known = new Map<GuestVirtual, string | undefined>();

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
    if (this.#known.has(cssSet)) return this.#known.get(cssSet);
    const path = this.#pathOf(this.#node(this.#defaultGroup(cssSet)));
    this.#known.set(cssSet, path);
    return path;
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

const CONTAINERS: readonly { readonly runtime: string; readonly pattern: RegExp }[] = [
  { runtime: "docker", pattern: /\/docker[-/]([0-9a-f]{12,64})/ },
  { runtime: "podman", pattern: /\/libpod-(?:conmon-)?([0-9a-f]{12,64})/ },
  { runtime: "containerd", pattern: /\/cri-containerd-([0-9a-f]{12,64})/ },
  { runtime: "cri-o", pattern: /\/crio-([0-9a-f]{12,64})/ },
  { runtime: "kubernetes", pattern: /\/kubepods[^/]*\/.*?([0-9a-f]{64})/ },
  { runtime: "lxc", pattern: /\/lxc(?:\.payload)?[./]([^/]+)/ },
  {
    runtime: "nspawn",
    pattern: /\/machine\.slice\/(?:systemd-nspawn@|machine-)([^/]+?)\.(?:service|scope)/,
  },
];

/** `docker:0123456789ab`, by the names that container runtimes give their control groups. */
export function containerOf(cgroupPath: string): string | undefined {
  for (const { runtime, pattern } of CONTAINERS) {
    const id = pattern.exec(cgroupPath)?.[1];
    if (id !== undefined) return `${runtime}:${/^[0-9a-f]{13,}$/.test(id) ? id.slice(0, 12) : id}`;
  }
  return undefined;
}
