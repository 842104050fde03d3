import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import { listSnapshot } from "./list-snapshot.ts";
import { integerReader } from "./member-reader.ts";
import type { Reader } from "./member-reader.ts";

/** CGROUP_SUBSYS_COUNT is at most 16 (kernel/cgroup/cgroup.c), 32 since its masks are u32. */
const MAX_CONTROLLERS = 32;
const NAME_MAX = 64;

/** A tree of control groups: the unified one (version 2), or one of version 1. */
export type Hierarchy = {
  readonly id: number;
  readonly version: 1 | 2;
  /** As in /proc/PID/cgroup: empty for the unified one, else `cpu,cpuacct` or `name=systemd`. */
  readonly name: string;
  /** Its root's `struct cgroup`. */
  readonly root: GuestVirtual;
  /** Controllers bound to it, as a mask. */
  readonly controllers: number;
};

/** Decodes `struct cgroup_root` and `struct cgroup_subsys` (include/linux/cgroup-defs.h). */
export class Hierarchies {
  readonly #kernel: Kernel;
  readonly #subsysMask: Reader;
  readonly #id: Reader;
  readonly #name: Reader;
  readonly #rootLink: number;
  readonly #cgroup: number;
  readonly #names: readonly ControllerName[];

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#subsysMask = kernel.reader("cgroup_root", "subsys_mask");
    this.#id = kernel.reader("cgroup_root", "hierarchy_id");
    this.#name = kernel.reader("cgroup_root", "name");
    this.#rootLink = kernel.offset("cgroup_root", "root_list");
    this.#cgroup = kernel.offset("cgroup_root", "cgrp");
    this.#names = controllerNames(kernel);
  }

  /** Every hierarchy, in the order of /proc/PID/cgroup. */
  all(budget: Budget, problem?: (reason: string) => void): Hierarchy[] {
    const head = this.#kernel.requireSymbol("cgroup_roots");
    const roots = listSnapshot(this.#kernel, head, this.#rootLink, budget, problem);
    return roots.map((root) => this.#decode(root));
  }

  /** Names of the controllers in a mask. */
  controllers(mask: number, version: 1 | 2): string[] {
    return this.#names
      .filter(({ bit }) => (mask & bit) !== 0)
      .map(({ name, legacy }) => (version === 2 ? name : legacy));
  }

  #decode(root: GuestVirtual): Hierarchy {
    const unified = root === this.#kernel.symbol("cgrp_dfl_root");
    const bound = this.#subsysMask(root);
    // What version 2 uses without asking, or not at all, is none of its controllers.
    const hidden = unified
      ? maskVariable(this.#kernel, "cgrp_dfl_inhibit_ss_mask") |
        maskVariable(this.#kernel, "cgrp_dfl_implicit_ss_mask")
      : 0;
    const given = this.#kernel.space.string(this.#name(root), NAME_MAX) ?? "";
    const names = [...this.controllers(bound, 1), ...(given === "" ? [] : [`name=${given}`])];
    return {
      id: this.#id(root),
      version: unified ? 2 : 1,
      name: unified ? "" : names.join(","),
      root: root + this.#cgroup,
      controllers: bound & ~hidden,
    };
  }
}

type ControllerName = { readonly bit: number; readonly name: string; readonly legacy: string };

/** Controllers by their bit, from the array `cgroup_subsys`. */
function controllerNames(kernel: Kernel): ControllerName[] {
  const { space } = kernel;
  const array = kernel.symbol("cgroup_subsys");
  const name = kernel.reader("cgroup_subsys", "name");
  const legacy = kernel.reader("cgroup_subsys", "legacy_name");
  const count = Math.min(kernel.types.length("cgroup", "subsys"), MAX_CONTROLLERS);
  return Array.from({ length: count }, (_, index) => {
    const subsys = space.pointer(array + index * 8);
    return {
      bit: 1 << index,
      name: space.string(name(subsys), NAME_MAX) ?? `controller${index}`,
      legacy: space.string(legacy(subsys), NAME_MAX) ?? `controller${index}`,
    };
  });
}

/** A mask of controllers: u16, since 7.1 u32, as the members of `struct cgroup` are. */
export function maskVariable(kernel: Kernel, symbol: string): number {
  const twin = kernel.types.require("cgroup", "subtree_ss_mask");
  const size = kernel.types.source.size(twin.typeId);
  const value = integerReader(kernel.space, 0, size, false)(kernel.symbol(symbol));
  return value === value ? value : 0;
}
