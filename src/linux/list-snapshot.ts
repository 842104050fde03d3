import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { CircleWatch } from "./circle-watch.ts";
import type { Kernel } from "./kernel.ts";

/** A running guest cuts a walk short now and then; a damaged list does so every time. */
const ATTEMPTS = 8;
/** `prev` follows `next` in struct list_head (include/linux/types.h). */
const PREV = 8;

type Walk = { readonly nodes: GuestVirtual[]; readonly fault: string | undefined };

/**
 * The entries of a `struct list_head` list at one moment, as addresses of the containing structs.
 *
 * Every step has to lead back: a node whose `prev` is not the one before was being changed or had
 * been freed (list_del_rcu leaves `next` and poisons `prev`), so the walk begins anew. Where that
 * helps nothing the list is taken as its `next` pointers give it, which is what the kernel itself
 * follows, and the problem is told.
 */
export function listSnapshot(
  kernel: Kernel,
  head: GuestVirtual,
  linkOffset: number,
  budget: Budget,
  problem?: (reason: string) => void,
): GuestVirtual[] {
  if (budget.exhausted) {
    // The walk that took the last of it has said where: no more may be spent on the many behind it.
    problem?.("the time for reading lists was over");
    return [];
  }
  let walk = walkOnce(kernel, head, budget, true);
  const again = (): boolean => walk.fault !== undefined && !budget.exhausted;
  for (let attempt = 1; again() && attempt < ATTEMPTS; attempt++) {
    kernel.lookLater(attempt, budget);
    walk = walkOnce(kernel, head, budget, attempt < ATTEMPTS - 1);
  }
  if (walk.fault !== undefined) problem?.(walk.fault);
  const { nodes } = walk;
  for (let index = 0; index < nodes.length; index++) nodes[index]! -= linkOffset;
  return nodes;
}

/** With `strict` it ends at the first step that does not lead back. */
function walkOnce(kernel: Kernel, head: GuestVirtual, budget: Budget, strict: boolean): Walk {
  const { space } = kernel;
  const nodes: GuestVirtual[] = [];
  const watch = new CircleWatch();
  const name = (): string => `the list at ${kernel.format(head)}`;
  let fault: string | undefined;
  let last = head;
  let node = space.pointer(head);
  while (node !== head) {
    const next = space.pointer(node);
    if (next !== next || node === 0) {
      return { nodes, fault: `${name()} leads to unreadable memory` };
    }
    if (space.pointer(node + PREV) !== last) {
      fault ??= `${name()} does not lead back at ${kernel.format(node)}`;
      if (strict) return { nodes, fault };
    }
    if (!budget.step()) return { nodes, fault: `${name()} does not end` };
    if (watch.isBack(node)) {
      return { nodes: [...new Set(nodes)], fault: `${name()} runs in a circle` };
    }
    nodes.push(node);
    last = node;
    node = next;
  }
  return { nodes, fault };
}

/** Whether the node is on a list now: what follows it leads back to it. */
export function isLinked(kernel: Kernel, node: GuestVirtual): boolean {
  return kernel.space.pointer(kernel.space.pointer(node) + PREV) === node;
}
