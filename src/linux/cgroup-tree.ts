import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { Cgroups } from "./cgroup.ts";
import { Hierarchies, maskVariable } from "./cgroup-hierarchy.ts";
import type { Hierarchy } from "./cgroup-hierarchy.ts";
import { CgroupMembers } from "./cgroup-members.ts";
import type { Members } from "./cgroup-members.ts";
import type { Kernel } from "./kernel.ts";
import { isLinked, listSnapshot } from "./list-snapshot.ts";
import type { Reader } from "./member-reader.ts";

/** The kernel nests no deeper than a path is long. */
const MAX_DEPTH = 1024;
/** CGRP_FROZEN is bit 3 of `flags`, CSS_ONLINE bit 1 of `self.flags` (include/linux/cgroup-defs.h). */
const CGRP_FROZEN = 1 << 3;
const CSS_ONLINE = 1 << 1;

/** One control group. */
export type ControlGroup = {
  readonly hierarchy: Hierarchy;
  /** From the hierarchy's root. */
  readonly path: string;
  readonly depth: number;
  /** Its directory's inode number, by which eBPF and the audit log know it. */
  readonly id: number;
  /** Controllers that it can hand to its children, as cgroup.controllers has them. */
  readonly controllers: readonly string[];
  /** Those that it does hand on, as cgroup.subtree_control. */
  readonly subtreeControl: readonly string[];
  /** Version 2: shares a process's threads out among groups. */
  readonly threaded: boolean;
  readonly frozen: boolean;
  /** Removed, but still held by something. */
  readonly dying: boolean;
  /** Processes with a thread in it, ascending, as cgroup.procs. */
  readonly pids: readonly number[];
  readonly threads: number;
  /** The struct cgroup. */
  readonly cgroup: GuestVirtual;
};

/** Walks the trees of `struct cgroup` (include/linux/cgroup-defs.h). */
export class CgroupTrees {
  readonly #kernel: Kernel;
  readonly #cgroups: Cgroups;
  readonly #hierarchies: Hierarchies;
  readonly #members: CgroupMembers;
  readonly #childrenHead: number;
  readonly #siblingLink: number;
  readonly #self: number;
  readonly #flags: Reader;
  readonly #selfFlags: Reader;
  readonly #subtreeControl: Reader;
  readonly #domain: Reader;
  readonly #node: Reader;
  readonly #nodeId: Reader;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#cgroups = new Cgroups(kernel);
    this.#hierarchies = new Hierarchies(kernel);
    this.#members = new CgroupMembers(kernel, this.#cgroups);
    this.#self = kernel.offset("cgroup", "self");
    this.#childrenHead = kernel.offset("cgroup", "self.children");
    this.#siblingLink = kernel.offset("cgroup_subsys_state", "sibling");
    this.#flags = kernel.reader("cgroup", "flags");
    this.#selfFlags = kernel.reader("cgroup", "self.flags");
    this.#subtreeControl = kernel.reader("cgroup", "subtree_control");
    this.#domain = kernel.reader("cgroup", "dom_cgrp");
    this.#node = kernel.reader("cgroup", "kn");
    this.#nodeId = kernel.reader("kernfs_node", "id");
  }

  /** Every control group of every hierarchy, parents before their children. */
  *all(budget: Budget, problem?: (reason: string) => void): Generator<ControlGroup> {
    const members = this.#members.read(budget, problem);
    for (const hierarchy of this.#hierarchies.all(budget, problem)) {
      const top = { hierarchy, controllers: hierarchy.controllers, depth: 0 };
      const seen = new Set<GuestVirtual>();
      yield* this.#walk(hierarchy.root, top, { members, seen, budget, problem });
    }
  }

  *#walk(cgroup: GuestVirtual, place: Place, walk: Walk): Generator<ControlGroup> {
    // A circle would multiply with each level.
    if (walk.seen.has(cgroup)) return walk.problem?.("a control group hangs in several places");
    walk.seen.add(cgroup);
    const row = this.#decode(cgroup, place, walk.members);
    // Removed between its parent's list and now.
    if (row === undefined) return undefined;
    yield row;
    if (place.depth >= MAX_DEPTH || !walk.budget.step()) {
      return walk.problem?.(`the control groups below ${row.path} do not end`);
    }
    const { hierarchy, depth } = place;
    const controllers =
      hierarchy.version === 2 ? this.#subtreeControl(cgroup) : hierarchy.controllers;
    const links = this.#children(cgroup, depth, walk);
    for (const css of links) {
      yield* this.#walk(css - this.#self, { hierarchy, controllers, depth: depth + 1 }, walk);
    }
    return undefined;
  }

  /** A group that was removed on the way has no children; its list may be anything. */
  #children(cgroup: GuestVirtual, depth: number, walk: Walk): GuestVirtual[] {
    const faults: string[] = [];
    const note = (reason: string): number => faults.push(reason);
    const head = cgroup + this.#childrenHead;
    const links = listSnapshot(this.#kernel, head, this.#siblingLink, walk.budget, note);
    if (faults.length === 0) return links;
    const sibling = cgroup + this.#self + this.#siblingLink;
    if (depth > 0 && !isLinked(this.#kernel, sibling)) return [];
    for (const fault of faults) walk.problem?.(fault);
    return links;
  }

  #decode(cgroup: GuestVirtual, place: Place, members: Members): ControlGroup | undefined {
    const { hierarchy, depth } = place;
    const path = this.#cgroups.pathOfCgroup(cgroup);
    if (path === undefined) return undefined;
    const unified = hierarchy.version === 2;
    const threaded = unified && this.#domain(cgroup) !== cgroup;
    const usable = threaded
      ? place.controllers & maskVariable(this.#kernel, "cgrp_dfl_threaded_ss_mask")
      : place.controllers;
    const { pids, threads } = members.get(cgroup) ?? { pids: new Set<number>(), threads: 0 };
    return {
      hierarchy,
      path,
      depth,
      id: this.#nodeId(this.#node(cgroup)),
      controllers: this.#hierarchies.controllers(usable, hierarchy.version),
      subtreeControl: unified ? this.#hierarchies.controllers(this.#subtreeControl(cgroup), 2) : [],
      threaded,
      frozen: (this.#flags(cgroup) & CGRP_FROZEN) !== 0,
      dying: (this.#selfFlags(cgroup) & CSS_ONLINE) === 0,
      pids: [...pids].toSorted((a, b) => a - b),
      threads,
      cgroup,
    };
  }
}

/** Where a group stands in its tree; `controllers` is what its parent hands on. */
type Place = {
  readonly hierarchy: Hierarchy;
  readonly controllers: number;
  readonly depth: number;
};

type Walk = {
  readonly members: Members;
  /** Groups of this hierarchy that the walk has come to. */
  readonly seen: Set<GuestVirtual>;
  readonly budget: Budget;
  readonly problem: ((reason: string) => void) | undefined;
};
