import { CgroupTrees } from "../linux/cgroup-tree.ts";
import type { ControlGroup } from "../linux/cgroup-tree.ts";
import type { View } from "./view.ts";

/** The control groups of every hierarchy, with their members. */
export const cgroups: View<ControlGroup> = {
  schema: "kvmsec.cgroups/1",
  list: "cgroups",
  of: "cgroups",
  *read(kernel, _options, problem) {
    yield* new CgroupTrees(kernel).all(kernel.budget(), problem);
  },
  json: ({ hierarchy, pids, cgroup, ...row }, kernel) => ({
    hierarchy: { id: hierarchy.id, version: hierarchy.version, name: hierarchy.name },
    ...row,
    processes: pids.length,
    pids,
    cgroup: kernel.format(cgroup),
  }),
};
