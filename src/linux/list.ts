import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { CircleWatch } from "./circle-watch.ts";
import type { Kernel } from "./kernel.ts";

type Problem = (reason: string) => void;

/**
 * Entries of a `struct list_head` list (include/linux/list.h), as addresses of the containing
 * structs. Stops at the head, at an unreadable node, or when the budget ends; a circle that
 * misses the head is cut by the budget. `problem` is told why a walk ended early.
 */
export function listEntries(
  kernel: Kernel,
  head: GuestVirtual,
  linkOffset: number,
  budget: Budget,
  problem?: Problem,
): Generator<GuestVirtual, void, undefined> {
  return entries(kernel, head, linkOffset, (node) => node === head, budget, problem);
}

/**
 * Entries of a `struct hlist_head` (NULL-terminated); also of `hlist_nulls`, whose end is odd.
 * `problem` is told why a walk ended early.
 */
export function hlistEntries(
  kernel: Kernel,
  head: GuestVirtual,
  linkOffset: number,
  budget: Budget,
  problem?: Problem,
): Generator<GuestVirtual, void, undefined> {
  return entries(kernel, head, linkOffset, isNull, budget, problem);
}

function isNull(node: GuestVirtual): boolean {
  return node === 0 || Math.abs(node % 2) === 1;
}

function* entries(
  kernel: Kernel,
  head: GuestVirtual,
  linkOffset: number,
  isEnd: (node: GuestVirtual) => boolean,
  budget: Budget,
  problem: Problem = () => {},
): Generator<GuestVirtual, void, undefined> {
  const { space } = kernel;
  const watch = new CircleWatch();
  let node = space.pointer(head);
  while (!isEnd(node)) {
    // Read before the entry is handed out: the guest may free it meanwhile.
    const next = space.pointer(node);
    if (next !== next || node === 0) {
      return problem(`the list at ${kernel.format(head)} leads to unreadable memory`);
    }
    if (!budget.step() || watch.isBack(node)) {
      return problem(`the list at ${kernel.format(head)} does not end`);
    }
    yield node - linkOffset;
    node = next;
  }
  return undefined;
}
