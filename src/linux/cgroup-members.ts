import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import { listSnapshot } from "./list-snapshot.ts";
import type { Reader } from "./member-reader.ts";
import { Tasks } from "./task.ts";

/** Who is in each `struct cgroup`. */
export type Members = ReadonlyMap<GuestVirtual, { readonly pids: Set<number>; threads: number }>;

/**
 * Finds the members of control groups from the tasks: task → css_set → one cgroup of each
 * hierarchy (struct cgrp_cset_link in kernel/cgroup/cgroup-internal.h).
 */
export class CgroupMembers {
  readonly #kernel: Kernel;
  readonly #tasks: Tasks;
  readonly #cssSet: Reader;
  readonly #exitState: Reader;
  readonly #linksHead: number;
  readonly #link: number;
  readonly #linkCgroup: Reader;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#tasks = new Tasks(kernel);
    this.#cssSet = kernel.reader("task_struct", "cgroups");
    this.#exitState = kernel.reader("task_struct", "exit_state");
    this.#linksHead = kernel.offset("css_set", "cgrp_links");
    this.#link = kernel.offset("cgrp_cset_link", "cgrp_link");
    this.#linkCgroup = kernel.reader("cgrp_cset_link", "cgrp");
  }

  /** Threads that have exited are in no group any more. */
  read(budget: Budget, problem?: (reason: string) => void): Members {
    const members = new Map<GuestVirtual, { pids: Set<number>; threads: number }>();
    const cgroupsOf = new Map<GuestVirtual, readonly GuestVirtual[]>();
    for (const leader of this.#tasks.processes(budget, problem)) {
      const pid = this.#tasks.tgid(leader);
      for (const task of this.#tasks.threads(leader, budget, problem)) {
        if (this.#exitState(task) !== 0) continue;
        const cssSet = this.#cssSet(task);
        let cgroups = cgroupsOf.get(cssSet);
        if (cgroups === undefined) {
          cgroups = this.#cgroups(cssSet, budget, problem);
          cgroupsOf.set(cssSet, cgroups);
        }
        for (const cgroup of cgroups) {
          const entry = members.get(cgroup) ?? { pids: new Set(), threads: 0 };
          entry.pids.add(pid);
          entry.threads++;
          members.set(cgroup, entry);
        }
      }
    }
    return members;
  }

  #cgroups(
    cssSet: GuestVirtual,
    budget: Budget,
    problem?: (reason: string) => void,
  ): GuestVirtual[] {
    const head = cssSet + this.#linksHead;
    return listSnapshot(this.#kernel, head, this.#link, budget, problem).map(this.#linkCgroup);
  }
}
