import type { Kernel } from "./kernel.ts";

/**
 * Whether somebody holds one of the kernel's own mutexes at this moment: `owner` is the task with
 * flags in its low bits (kernel/locking/mutex.c), with PREEMPT_RT that of the rtmutex within. False
 * where it cannot be read.
 */
export function isHeld(kernel: Kernel, name: string): boolean {
  const mutex = kernel.symbol(name);
  const owner = kernel.readerOf("mutex", "owner.counter", "rtmutex.owner")?.(mutex) ?? 0;
  return owner !== 0 && owner === owner;
}
