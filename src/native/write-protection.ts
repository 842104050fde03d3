import { closeSync } from "node:fs";
import { KvmsecError } from "../base/errors.ts";
import { errnoName, libc, systemError } from "./libc.ts";
import { pidfdGetfd, pidfdOpen } from "./pidfd.ts";
import { canInject, withStoppedProcess } from "./ptrace.ts";

// Safe: each request reads and writes at most 32 bytes (include/uapi/linux/userfaultfd.h), and each
// buffer is as long as its structure.
const ioctl = libc.func("int ioctl(int fd, unsigned long request, _Inout_ void *argument)");

// Safe: the buffer is as long as its third argument says. Asked some thousand times a second, mostly
// for nothing, so without the exception that node:fs throws for that.
const read = libc.func("int64_t read(int fd, _Out_ void *buffer, uint64_t count)");

const NOBODY: readonly number[] = [];
const NR_close = 3;
const NR_userfaultfd = 323;
const O_CLOEXEC_NONBLOCK = 0o2000000n | 0o4000n;
const UFFDIO_API = 0xc018aa3f;
const UFFDIO_REGISTER = 0xc020aa00;
const UFFDIO_WRITEPROTECT = 0xc018aa06;
const UFFD_API = 0xaan;
const REGISTER_MODE_WP = 2n;
const WRITEPROTECT_MODE_WP = 1n;
const FEATURE_PAGEFAULT_FLAG_WP = 1n << 0n;
const FEATURE_WP_HUGETLBFS_SHMEM = 1n << 12n;
const FEATURES = FEATURE_PAGEFAULT_FLAG_WP | FEATURE_WP_HUGETLBFS_SHMEM;
const MESSAGE_SIZE = 32;
const ADDRESS_AT = 16;
const EVENT_PAGEFAULT = 0x12;
/** Another change of the address space is under way; asked again it ends. */
const MAX_AGAIN = 1000;

/** The descriptor, and the mapping in the other process that it is about. */
export type ProtectionHandle = {
  readonly fd: number;
  readonly start: bigint;
  readonly size: number;
};

/**
 * Write protection of another process's memory from outside (userfaultfd(2), made inside that
 * process by ptrace and taken over). A thread that writes to a protected page waits until the page
 * is let go. When this is disposed, or our process dies, all protection is gone.
 */
export class WriteProtection implements Disposable {
  /** What another thread of ours needs to work on the same protection. */
  readonly handle: ProtectionHandle;
  readonly #messages = Buffer.alloc(16 * MESSAGE_SIZE);

  constructor(handle: ProtectionHandle) {
    this.handle = handle;
  }

  /**
   * Makes one for a shared mapping of that process; nothing is protected yet.
   * Throws KVMSEC_SYSTEM_CALL where it may not be done.
   */
  static install(pid: number, start: bigint, size: number): WriteProtection {
    const protection = new WriteProtection({ fd: takeDescriptor(pid), start, size });
    try {
      protection.#call("UFFDIO_API", UFFDIO_API, [UFFD_API, FEATURES, 0n]);
      const range = [start, BigInt(size), REGISTER_MODE_WP, 0n];
      protection.#call("UFFDIO_REGISTER", UFFDIO_REGISTER, range);
      return protection;
    } catch (error) {
      protection[Symbol.dispose]();
      throw error;
    }
  }

  /** Protects a part. */
  protect(offset: number, length: number): void {
    this.#set(offset, Math.min(length, this.handle.size - offset), WRITEPROTECT_MODE_WP);
  }

  /** Lets writes to a part through, and those go on that wait for it. Of a process that has ended nobody waits. */
  release(offset: number, length: number): void {
    this.#set(offset, Math.min(length, this.handle.size - offset), 0n, "ESRCH");
  }

  /** Offsets of pages that somebody waits to write to, without waiting for one. */
  waiting(): readonly number[] {
    const got = Number(read(this.handle.fd, this.#messages, this.#messages.length));
    if (got < 0) {
      if (errnoName() === "EAGAIN") return NOBODY;
      throw systemError("read of a userfaultfd");
    }
    const offsets: number[] = [];
    for (let at = 0; at + MESSAGE_SIZE <= got; at += MESSAGE_SIZE) {
      if (this.#messages[at] !== EVENT_PAGEFAULT) continue;
      const address = this.#messages.readBigUInt64LE(at + ADDRESS_AT);
      offsets.push(Number(address - this.handle.start));
    }
    return offsets;
  }

  [Symbol.dispose](): void {
    closeSync(this.handle.fd);
  }

  #set(offset: number, length: number, mode: bigint, forgiven?: string): void {
    const range = [this.handle.start + BigInt(offset), BigInt(length), mode];
    this.#call("UFFDIO_WRITEPROTECT", UFFDIO_WRITEPROTECT, range, forgiven);
  }

  #call(name: string, request: number, words: readonly bigint[], forgiven?: string): void {
    for (let tries = 0; ; tries++) {
      if ((ioctl(this.handle.fd, request, new BigUint64Array(words)) as number) === 0) return;
      const error = errnoName();
      if (error === forgiven) return;
      if (error !== "EAGAIN" || tries > MAX_AGAIN) throw systemError(name);
    }
  }
}

/** A userfaultfd of that process's memory, in our hands only. */
function takeDescriptor(pid: number): number {
  if (!canInject) throw refused("this is no x86-64 machine");
  const pidfd = pidfdOpen(pid);
  if (typeof pidfd === "string") throw refused(pidfd);
  try {
    return withStoppedProcess(pid, (inject) => {
      const theirs = Number(inject(NR_userfaultfd, O_CLOEXEC_NONBLOCK));
      if (theirs < 0) throw refused(`userfaultfd: error ${-theirs}`);
      try {
        const ours = pidfdGetfd(pidfd, theirs);
        if (typeof ours === "string") throw refused(ours);
        return ours;
      } finally {
        inject(NR_close, BigInt(theirs));
      }
    });
  } finally {
    closeSync(pidfd);
  }
}

function refused(reason: string): KvmsecError {
  return new KvmsecError("KVMSEC_SYSTEM_CALL", `Its memory cannot be write-protected: ${reason}.`);
}
