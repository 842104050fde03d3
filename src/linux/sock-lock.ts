import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";

/** The spinlock in `sk_lock`, without and with PREEMPT_RT. */
const SPINLOCK = ["sk_lock.slock.rlock.raw_lock.val.counter", "sk_lock.slock.lock.owner"];

/**
 * Whether somebody changes the `struct sock` at this moment: a process has it for itself (lock_sock),
 * or a processor works at it (bh_lock_sock; include/net/sock.h). Its state is set, and its places in
 * tables are taken and left, under these locks.
 */
export function isSockLocked(kernel: Kernel, sock: GuestVirtual): boolean {
  const owned = kernel.readerOf("sock", "sk_lock.owned")?.(sock) ?? 0;
  const spun = kernel.readerOf("sock", ...SPINLOCK)?.(sock) ?? 0;
  return owned > 0 || Math.abs(spun) > 0;
}

/**
 * Whether the socket's file is just being closed: nobody refers to it any more (`__fput` in
 * fs/file_table.c). References are counted from 1, and since 6.13 from 0, below which there are none.
 */
export function isSockClosing(kernel: Kernel, sock: GuestVirtual): boolean {
  const socket = kernel.readerOf("sock", "sk_socket")?.(sock) ?? 0;
  const file = socket < 0 ? (kernel.readerOf("socket", "file")?.(socket) ?? 0) : 0;
  if (!(file < 0)) return false;
  const count = kernel.readerOf("file", "f_count.counter")?.(file);
  if (count !== undefined) return count === 0;
  return (kernel.readerOf("file", "f_ref.refcnt.counter")?.(file) ?? 0) < 0;
}
