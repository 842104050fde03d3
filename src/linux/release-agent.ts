import type { Problem } from "./callback.ts";
import type { Kernel } from "./kernel.ts";
import { listSnapshot } from "./list-snapshot.ts";

/** A program that the kernel starts, as root, when the last process leaves a cgroup (cgroups, version 1). */
export type ReleaseAgent = {
  /** The hierarchy's name, or empty. */
  readonly hierarchy: string;
  readonly program: string;
};

/** PATH_MAX, MAX_CGROUP_ROOT_NAMELEN. */
const MAX_PATH = 4096;
const MAX_NAME = 64;

/** Of every mounted hierarchy that has one (`release_agent_path`, kernel/cgroup/cgroup-v1.c). */
export function releaseAgents(kernel: Kernel, problem: Problem): ReleaseAgent[] {
  const head = kernel.symbol("cgroup_roots");
  if (head !== head || !kernel.types.has("cgroup_root", "release_agent_path")) return [];
  const link = kernel.offset("cgroup_root", "root_list");
  const path = kernel.reader("cgroup_root", "release_agent_path");
  const name = kernel.reader("cgroup_root", "name");
  const found: ReleaseAgent[] = [];
  for (const root of listSnapshot(kernel, head, link, kernel.budget(), problem)) {
    const program = kernel.space.string(path(root), MAX_PATH);
    if (program === undefined) problem("a cgroup hierarchy's release agent cannot be read");
    else if (program !== "") {
      found.push({ hierarchy: kernel.space.string(name(root), MAX_NAME) ?? "", program });
    }
  }
  return found;
}
