import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { FdTables } from "./fd-table.ts";
import type { Kernel } from "./kernel.ts";
import { Tasks } from "./task.ts";

/** File operations of descriptors whose private data is a BPF object (kernel/bpf/syscall.c). */
const OPERATIONS = ["bpf_prog_fops", "bpf_map_fops", "bpf_link_fops", "bpf_link_fops_poll"];

/**
 * Which processes hold a BPF program, map or link by a file descriptor: addresses of the objects
 * to pids, ascending.
 */
export function bpfHolders(
  kernel: Kernel,
  budget: Budget,
  problem?: (reason: string) => void,
): Map<GuestVirtual, number[]> {
  const tasks = new Tasks(kernel);
  const tables = new FdTables(kernel);
  const operations = kernel.reader("file", "f_op");
  const content = kernel.reader("file", "private_data");
  const wanted = new Set(OPERATIONS.map((name) => kernel.symbol(name)).filter((at) => at < 0));
  const holders = new Map<GuestVirtual, Set<number>>();
  for (const task of tasks.processes(budget, problem)) {
    const files = tasks.files(task);
    if (!(files < 0)) continue;
    for (const { file } of tables.descriptors(files, budget, problem)) {
      if (!wanted.has(operations(file))) continue;
      const object = content(file);
      const pids = holders.get(object) ?? new Set();
      holders.set(object, pids.add(tasks.pid(task)));
    }
  }
  return new Map(
    [...holders].map(([object, pids]) => [object, [...pids].toSorted((a, b) => a - b)]),
  );
}
