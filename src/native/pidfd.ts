import { errnoName, libc } from "./libc.ts";

// Safe: numbers only; the result is a new descriptor of ours, or -1 (pidfd_open(2), pidfd_getfd(2)).
const syscall2 = libc.func("long syscall(long number, int pid, unsigned int flags)");
const syscall3 = libc.func("long syscall(long number, int pidfd, int target, unsigned int flags)");

// The same on every architecture (include/uapi/asm-generic/unistd.h).
const NR_pidfd_open = 434;
const NR_pidfd_getfd = 438;

/**
 * A descriptor that stands for one process, whatever becomes of its pid; readable when it has
 * ended. The caller closes it. Returns the name of the error (`ESRCH`, `EINVAL`) where it fails.
 */
export function pidfdOpen(pid: number): number | string {
  const fd = syscall2(NR_pidfd_open, pid, 0) as number;
  return fd < 0 ? errnoName() : fd;
}

/**
 * A copy of descriptor `target` of that process, which asks for the right to ptrace it (`EPERM`
 * without). The caller closes it.
 */
export function pidfdGetfd(pidfd: number, target: number): number | string {
  const fd = syscall3(NR_pidfd_getfd, pidfd, target, 0) as number;
  return fd < 0 ? errnoName() : fd;
}
