import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";

/** A red-black tree of 2^32 nodes is at most 64 levels high. */
const MAX_HEIGHT = 64;

/**
 * Entries of a `struct rb_root` (include/linux/rbtree.h) in their order, as addresses of the
 * containing structs. A subtree that cannot be read, that is higher than any balanced tree, or that
 * leads back to where the walk has been, is left out; that there are such is told once.
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
  const name = (): string => `the tree at ${kernel.format(root)}`;
  const above: GuestVirtual[] = [];
  // A circle in a tree multiplies with each level: cut by height and steps alone it costs millions.
  const seen = new Set<GuestVirtual>();
  let broken = false;
  let node = kernel.space.pointer(root);
  for (;;) {
    while (node !== 0) {
      if (!budget.step()) return problem?.(`${name()} does not end`);
      const child = left(node);
      if (child !== child || above.length === MAX_HEIGHT || seen.has(node)) {
        if (!broken) problem?.(`a part of ${name()} cannot be read`);
        broken = true;
        break;
      }
      seen.add(node);
      above.push(node);
      node = child;
    }
    const next = above.pop();
    if (next === undefined) return undefined;
    // Read before the entry is handed out: the guest may free it meanwhile.
    node = right(next);
    yield next - linkOffset;
  }
}
