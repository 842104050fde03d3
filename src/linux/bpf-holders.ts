import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { FdTables } from "./fd-table.ts";
import type { Kernel } from "./kernel.ts";
import { distinctProcesses } from "./named-process.ts";
import type { NamedProcess } from "./named-process.ts";
import { Tasks } from "./task.ts";

/** A descriptor of a process that holds a BPF object. */
export type BpfDescriptor = NamedProcess & {
  readonly kind: "program" | "map" | "link";
  readonly object: GuestVirtual;
};

/** File operations of descriptors whose private data is a BPF object (kernel/bpf/syscall.c). */
const OPERATIONS: Readonly<Record<string, BpfDescriptor["kind"]>> = {
  bpf_prog_fops: "program",
  bpf_map_fops: "map",
  bpf_link_fops: "link",
  bpf_link_fops_poll: "link",
};

/** Every descriptor of every process that holds a BPF program, map or link. */
export function* bpfDescriptors(
  kernel: Kernel,
  budget: Budget,
  problem?: (reason: string) => void,
): Generator<BpfDescriptor> {
  const tasks = new Tasks(kernel);
  const tables = new FdTables(kernel);
  const operations = kernel.reader("file", "f_op");
  const content = kernel.reader("file", "private_data");
  const wanted = new Map(
    Object.entries(OPERATIONS).map(([name, kind]) => [kernel.symbol(name), kind]),
  );
  for (const task of tasks.processes(budget, problem)) {
    const files = tasks.files(task);
    if (!(files < 0)) continue;
    const process = { pid: tasks.pid(task), comm: tasks.comm(task) ?? "?" };
    for (const { file } of tables.descriptors(files, budget, problem)) {
      const kind = wanted.get(operations(file));
      if (kind !== undefined) yield { kind, object: content(file), ...process };
    }
  }
}

/**
 * Which processes hold a BPF program, map or link by a file descriptor: addresses of the objects
 * to those, by ascending pid.
 */
export function bpfHolders(
  kernel: Kernel,
  budget: Budget,
  problem?: (reason: string) => void,
): Map<GuestVirtual, NamedProcess[]> {
  const holders = new Map<GuestVirtual, Map<number, NamedProcess>>();
  for (const { object, pid, comm } of bpfDescriptors(kernel, budget, problem)) {
    const found = holders.get(object) ?? new Map<number, NamedProcess>();
    holders.set(object, found.set(pid, { pid, comm }));
  }
  return new Map(
    [...holders].map(([object, found]) => [object, distinctProcesses(found.values())]),
  );
}
