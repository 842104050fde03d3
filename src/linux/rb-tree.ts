import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";

/** A red-black tree of 2^32 nodes is at most 64 levels high. */
const MAX_HEIGHT = 64;

/**
 * Entries of a `struct rb_root` (include/linux/rbtree.h) in their order, as addresses of the
 * containing structs. A subtree that cannot be read, or that is higher than any balanced tree, is
 * left out and told.
 */
export function* rbEntries(
  kernel: Kernel,
  root: GuestVirtual,
  linkOffset: number,
  budget: Budget,
  problem?: (reason: string) => void,
): Generator<GuestVirtual, void, undefined> {
  const left = kernel.reader("rb_node", "rb_left");
  const right = kernel.reader("rb_node", "rb_right");
  const above: GuestVirtual[] = [];
  let node = kernel.space.pointer(root);
  for (;;) {
    while (node === node && node !== 0 && above.length < MAX_HEIGHT) {
      if (!budget.step()) return problem?.(`the tree at ${kernel.format(root)} does not end`);
      above.push(node);
      node = left(node);
    }
    if (node !== 0) problem?.(`a part of the tree at ${kernel.format(root)} cannot be read`);
    const next = above.pop();
    if (next === undefined) return undefined;
    // Read before the entry is handed out: the guest may free it meanwhile.
    node = right(next);
    yield next - linkOffset;
  }
}
