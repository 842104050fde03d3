import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { CircleWatch } from "./circle-watch.ts";
import type { Kernel } from "./kernel.ts";

/**
 * Entries of a `struct list_head` list (include/linux/list.h), as addresses of the containing
 * structs. Stops at the head, at an unreadable node, or when the budget ends; a circle that
 * misses the head is cut by the budget. `problem` is told why a walk ended early.
 */
export function* listEntries(
  kernel: Kernel,
  head: GuestVirtual,
  linkOffset: number,
  budget: Budget,
  problem?: (reason: string) => void,
): Generator<GuestVirtual, void, undefined> {
  const { space } = kernel;
  const watch = new CircleWatch();
  let node = space.pointer(head);
  while (node !== head) {
    // Read before the entry is handed out: the guest may free it meanwhile.
    const next = space.pointer(node);
    if (next !== next || node === 0) {
      problem?.(`the list at ${kernel.format(head)} leads to unreadable memory`);
      return;
    }
    if (!budget.step() || watch.isBack(node)) {
      problem?.(`the list at ${kernel.format(head)} does not end`);
      return;
    }
    yield node - linkOffset;
    node = next;
  }
}

/**
 * Entries of a `struct hlist_head` (NULL-terminated); also of `hlist_nulls`, whose end is odd.
 * `problem` is told why a walk ended early.
 */
export function* hlistEntries(
  kernel: Kernel,
  head: GuestVirtual,
  linkOffset: number,
  budget: Budget,
  problem?: (reason: string) => void,
): Generator<GuestVirtual, void, undefined> {
  const { space } = kernel;
  const watch = new CircleWatch();
  let node = space.pointer(head);
  while (node !== 0 && Math.abs(node % 2) !== 1) {
    const next = space.pointer(node);
    if (next !== next) {
      problem?.(`the list at ${kernel.format(head)} leads to unreadable memory`);
      return;
    }
    if (!budget.step() || watch.isBack(node)) {
      problem?.(`the list at ${kernel.format(head)} does not end`);
      return;
    }
    yield node - linkOffset;
    node = next;
  }
}
