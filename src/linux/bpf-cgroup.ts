import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { arrayPrograms } from "./bpf-attachment.ts";
import type { BpfAttachment } from "./bpf-attachment.ts";
import type { Problem } from "./callback.ts";
import { enumNames } from "./enum-names.ts";
import type { Kernel } from "./kernel.ts";
import { listSnapshot } from "./list-snapshot.ts";

/** Deeper than any hierarchy: cgroup.max.depth is seldom set, paths are at most 4096 bytes. */
const MAX_DEPTH = 256;

/** CSS_ONLINE (include/linux/cgroup-defs.h). */
const CSS_ONLINE = 1 << 1;

/** Programs that run for the processes of each cgroup (`cgroup.bpf.effective`, include/linux/bpf-cgroup-defs.h). */
export function* cgroupPrograms(
  kernel: Kernel,
  budget: Budget,
  problem: Problem,
): Generator<BpfAttachment> {
  const { types } = kernel;
  const root = kernel.symbol("cgrp_dfl_root");
  if (root !== root || !types.has("cgroup", "bpf") || !types.has("cgroup_bpf", "effective")) return;
  const arrays = kernel.offset("cgroup", "bpf") + kernel.offset("cgroup_bpf", "effective");
  const count = types.length("cgroup_bpf", "effective");
  const names = attachTypes(kernel);
  const empty = emptyArrays(kernel);
  const flags = kernel.reader("cgroup", "self.flags");
  const seen = new Set<GuestVirtual>();
  for (const cgroup of cgroups(
    kernel,
    root + kernel.offset("cgroup_root", "cgrp"),
    budget,
    problem,
  )) {
    // One that was removed stays while something holds it, but its arrays were freed.
    if ((flags(cgroup) & CSS_ONLINE) === 0) continue;
    for (let type = 0; type < count; type++) {
      const array = kernel.space.pointer(cgroup + arrays + type * 8);
      if (!(array < 0) || seen.has(array) || empty.has(array)) continue;
      seen.add(array);
      yield* arrayPrograms(kernel, array, `cgroup (${names.get(type) ?? type})`);
    }
  }
}

/** Cgroups have numbers of their own for what programs are attached as since 5.15. */
function attachTypes(kernel: Kernel): ReadonlyMap<number, string> {
  const own = enumNames(kernel, "cgroup_bpf_attach_type", "CGROUP_");
  return own.size > 0 ? own : enumNames(kernel, "bpf_attach_type", "BPF_CGROUP_");
}

/** What most of them are. */
function emptyArrays(kernel: Kernel): Set<GuestVirtual> {
  return new Set([kernel.symbol("bpf_empty_prog_array"), kernel.symbol("empty_prog_array")]);
}

function* cgroups(
  kernel: Kernel,
  cgroup: GuestVirtual,
  budget: Budget,
  problem: Problem,
  seen: Set<GuestVirtual> = new Set(),
  depth = 0,
): Generator<GuestVirtual> {
  if (depth === MAX_DEPTH) return problem("cgroups are nested too deeply");
  // A circle would multiply with each level.
  if (seen.has(cgroup)) return problem("a cgroup hangs in several places");
  seen.add(cgroup);
  yield cgroup;
  const self = kernel.offset("cgroup", "self");
  const head = cgroup + self + kernel.offset("cgroup_subsys_state", "children");
  const link = kernel.offset("cgroup_subsys_state", "sibling");
  for (const child of listSnapshot(kernel, head, link, budget, problem)) {
    yield* cgroups(kernel, child - self, budget, problem, seen, depth + 1);
  }
  return undefined;
}
