import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";

/** A place where a BPF program is run, found by the place and not by the lists of programs. */
export type BpfAttachment = {
  /** `cgroup`, `XDP of eth0`, `tracepoint sched_switch`, `trampoline of vfs_read`. */
  readonly place: string;
  /** Its `struct bpf_prog`. */
  readonly program: GuestVirtual;
};

/** BPF_CGROUP_MAX_PROGS and BPF_TRACE_MAX_PROGS are 64; arrays of several levels may be longer. */
const MAX_PROGRAMS = 1024;

/** Programs of a `struct bpf_prog_array` (include/linux/bpf.h), which ends with a NULL. */
export function* arrayPrograms(
  kernel: Kernel,
  array: GuestVirtual,
  place: string,
): Generator<BpfAttachment> {
  if (!(array < 0)) return;
  const first = array + kernel.offset("bpf_prog_array", "items");
  const size = kernel.types.size("bpf_prog_array_item");
  const programOf = kernel.reader("bpf_prog_array_item", "prog");
  // Stands for one that was taken away in the middle.
  const dummy = kernel.symbol("dummy_bpf_prog");
  for (let index = 0; index < MAX_PROGRAMS; index++) {
    const program = programOf(first + index * size);
    if (!(program < 0)) return;
    const inDummy = program >= dummy && program < dummy + kernel.types.size("bpf_prog");
    if (!inDummy) yield { place, program };
  }
}
