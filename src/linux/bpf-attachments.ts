import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { BpfAttachment } from "./bpf-attachment.ts";
import { cgroupPrograms } from "./bpf-cgroup.ts";
import { networkPrograms } from "./bpf-network.ts";
import { tracingPrograms } from "./bpf-tracing.ts";
import type { Problem } from "./callback.ts";
import type { Kernel } from "./kernel.ts";
import { XArrays } from "./xarray.ts";

/** Most entries of an array of programs that are looked at: programs call on into few. */
const MAX_ENTRIES = 65_536;

/** Every place where a BPF program is run, but sockets: cgroups, devices, tracing, links, other programs. */
export function* bpfAttachments(
  kernel: Kernel,
  maps: Iterable<GuestVirtual>,
  budget: Budget,
  problem: Problem,
): Generator<BpfAttachment> {
  yield* linkPrograms(kernel, budget, problem);
  yield* cgroupPrograms(kernel, budget, problem);
  yield* networkPrograms(kernel, budget, problem);
  yield* tracingPrograms(kernel, budget, problem);
  yield* calledPrograms(kernel, maps);
}

function* linkPrograms(kernel: Kernel, budget: Budget, problem: Problem): Generator<BpfAttachment> {
  const idr = kernel.symbol("link_idr");
  if (idr !== idr) return;
  const id = kernel.reader("bpf_link", "id");
  const programOf = kernel.reader("bpf_link", "prog");
  for (const { index, pointer } of new XArrays(kernel).idrEntries(idr, budget, problem)) {
    const program = programOf(pointer);
    // Freed while it was read, or a link of struct_ops, which has no program.
    if (id(pointer) === index && program < 0) yield { place: `link ${index}`, program };
  }
}

/** Programs that others go on to by bpf_tail_call (BPF_MAP_TYPE_PROG_ARRAY, kernel/bpf/arraymap.c). */
function* calledPrograms(kernel: Kernel, maps: Iterable<GuestVirtual>): Generator<BpfAttachment> {
  const { types } = kernel;
  const wanted = types.enumerator("bpf_map_type", "BPF_MAP_TYPE_PROG_ARRAY");
  if (wanted === undefined || !types.has("bpf_array", "ptrs")) return;
  const type = kernel.reader("bpf_map", "map_type");
  const entries = kernel.reader("bpf_map", "max_entries");
  const identity = kernel.reader("bpf_map", "id");
  // A bpf_array begins with its map.
  const first = kernel.offset("bpf_array", "ptrs");
  for (const map of maps) {
    if (type(map) !== wanted) continue;
    const count = Math.min(entries(map), MAX_ENTRIES);
    for (let index = 0; index < count; index++) {
      const program = kernel.space.pointer(map + first + index * 8);
      if (program !== program) break;
      if (program < 0) yield { place: `map ${identity(map)}`, program };
    }
  }
}
