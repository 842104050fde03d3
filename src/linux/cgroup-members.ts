import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Cgroups } from "./cgroup.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { Tasks } from "./task.ts";

/** Who is in each `struct cgroup`. */
export type Members = ReadonlyMap<GuestVirtual, { readonly pids: Set<number>; threads: number }>;

/**
 * Finds the members of control groups from the tasks: task → css_set → one cgroup of each
 * hierarchy.
 */
export class CgroupMembers {
  readonly #tasks: Tasks;
  readonly #cgroups: Cgroups;
  readonly #cssSet: Reader;
  readonly #exitState: Reader;

  constructor(kernel: Kernel, cgroups: Cgroups) {
    this.#cgroups = cgroups;
    this.#tasks = new Tasks(kernel);
    this.#cssSet = kernel.reader("task_struct", "cgroups");
    this.#exitState = kernel.reader("task_struct", "exit_state");
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
          cgroups = this.#cgroups.groups(cssSet, budget, problem);
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
}
