import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";

/**
 * Whether somebody holds one of the kernel's own mutexes at this moment: `owner` is the task with
 * flags in its low bits (kernel/locking/mutex.c), with PREEMPT_RT that of the rtmutex within. False
 * where it cannot be read.
 */
export function isHeld(kernel: Kernel, name: string): boolean {
  return isHeldAt(kernel, kernel.symbol(name));
}

/** The same of any `struct mutex`. */
export function isHeldAt(kernel: Kernel, mutex: GuestVirtual): boolean {
  const owner = kernel.readerOf("mutex", "owner.counter", "rtmutex.owner")?.(mutex) ?? 0;
  return owner !== 0 && owner === owner;
}
