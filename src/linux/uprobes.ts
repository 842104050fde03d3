import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import { rbEntries } from "./rb-tree.ts";

/** More are not believed. */
const MAX_OFFSET = 2 ** 52;

/**
 * Where user probes are set: offsets in files, by the `address_space` of each (uprobes_tree in
 * kernel/events/uprobes.c). The kernel writes a breakpoint there into each process's own copy of
 * the page, and since 6.18 a call where the program left room for one.
 */
export function uprobeOffsets(
  kernel: Kernel,
  budget: Budget,
  problem: (reason: string) => void,
): ReadonlyMap<GuestVirtual, ReadonlySet<number>> {
  const probes = new Map<GuestVirtual, Set<number>>();
  const tree = kernel.symbol("uprobes_tree");
  const inode = kernel.readerOf("uprobe", "inode");
  const offset = kernel.readerOf("uprobe", "offset");
  const link = kernel.types.member("uprobe", "rb_node")?.offset;
  if (inode === undefined || offset === undefined || link === undefined || tree !== tree) {
    return probes;
  }
  const mapping = kernel.reader("inode", "i_mapping");
  for (const probe of rbEntries(kernel, tree, link, budget, problem)) {
    const file = mapping(inode(probe));
    const at = offset(probe);
    if (!(file < 0) || !(at >= 0 && at < MAX_OFFSET)) continue;
    probes.set(file, (probes.get(file) ?? new Set()).add(at));
  }
  return probes;
}
