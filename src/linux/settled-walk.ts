import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";

/** A running guest cuts a walk short now and then; a damaged list does so every time. */
const ATTEMPTS = 4;
/** `pprev` follows `next` in struct hlist_node (include/linux/types.h). */
const PPREV = 8;

/**
 * The entries of a walk that a running guest may disturb: one that comes to a fault is walked
 * again. Nothing where what it belongs to is gone by then; a fault that stays is told.
 */
export function settledWalk(
  kernel: Kernel,
  walk: (fault: (reason: string) => void) => Iterable<GuestVirtual>,
  isCurrent: () => boolean,
  problem: (reason: string) => void,
): GuestVirtual[] {
  for (let attempt = 1; ; attempt++) {
    const faults: string[] = [];
    const entries = [...walk((reason) => faults.push(reason))];
    const [fault] = faults;
    if (fault === undefined) return entries;
    kernel.refresh();
    if (!isCurrent()) return [];
    if (attempt === ATTEMPTS) {
      problem(fault);
      return entries;
    }
  }
}

/** Whether a `struct hlist_node` is on a list now: what leads to it, it knows by its `pprev`. */
export function isHashed(kernel: Kernel, node: GuestVirtual): boolean {
  return kernel.space.pointer(kernel.space.pointer(node + PPREV)) === node;
}
