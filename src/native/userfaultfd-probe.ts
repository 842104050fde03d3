import { closeSync, constants, openSync } from "node:fs";
import { systemCode } from "../base/errors.ts";
import { errnoName, libc } from "./libc.ts";

// Safe: numbers only, no pointer; the result is a new descriptor of ours, or -1.
const syscall = libc.func("long syscall(long number, long flags)");
// Safe: UFFDIO_API reads and writes 24 bytes (struct uffdio_api), and the buffer is that long;
// USERFAULTFD_IOC_NEW takes flags.
const ioctlApi = libc.func("int ioctl(int fd, unsigned long request, _Inout_ void *argument)");
const ioctlNew = libc.func("int ioctl(int fd, unsigned long request, unsigned long flags)");

/** System call numbers, include/uapi/asm-generic/unistd.h and arch/x86/entry/syscalls/syscall_64.tbl. */
const NR_userfaultfd = process.arch === "x64" ? 323 : 282;
// include/uapi/linux/userfaultfd.h
const UFFD_USER_MODE_ONLY = 1;
const UFFDIO_API = 0xc018aa3f;
const USERFAULTFD_IOC_NEW = 0xaa00;
const UFFD_API = 0xaan;
const featureBits = {
  "pagefault-flag-wp": 0,
  "missing-shmem": 5,
  "thread-id": 8,
  "minor-shmem": 10,
  "exact-address": 11,
  "wp-hugetlbfs-shmem": 12,
  "wp-unpopulated": 13,
  "wp-async": 15,
} as const;

export type UserfaultfdFeature = keyof typeof featureBits;

/** What of userfaultfd(2) this user has. */
export type UserfaultfdAbilities = {
  /** Faults of the kernel are caught too, as KVM needs: by the system call or by the device. */
  readonly full: "syscall" | "device" | undefined;
  /** Only faults of user mode: enough for TCG, less what devices write. */
  readonly userModeOnly: boolean;
  /** What the kernel offers, of the features that write traps use. */
  readonly features: ReadonlySet<UserfaultfdFeature>;
  /** Why the full kind was refused: the error of the system call, then of the device. */
  readonly errors: readonly string[];
};

/** Opens userfaultfds of each kind, asks one for its features, and closes them again. */
export function probeUserfaultfd(): UserfaultfdAbilities {
  const flags = constants.O_NONBLOCK | 0o2000000; // O_CLOEXEC
  const bySyscall = use(syscall(NR_userfaultfd, flags) as number);
  const byDevice = typeof bySyscall === "string" ? openByDevice(flags) : bySyscall;
  const userMode = use(syscall(NR_userfaultfd, flags | UFFD_USER_MODE_ONLY) as number);
  const errors = [bySyscall, byDevice].filter((result) => typeof result === "string");
  const found = [bySyscall, byDevice, userMode].find((result) => typeof result !== "string");
  return {
    full:
      typeof bySyscall !== "string"
        ? "syscall"
        : typeof byDevice !== "string"
          ? "device"
          : undefined,
    userModeOnly: typeof userMode !== "string",
    features: new Set(found),
    errors,
  };
}

function openByDevice(flags: number): UserfaultfdFeature[] | string {
  try {
    const device = openSync("/dev/userfaultfd", constants.O_RDWR);
    try {
      return use(ioctlNew(device, USERFAULTFD_IOC_NEW, flags) as number);
    } finally {
      closeSync(device);
    }
  } catch (error) {
    return `/dev/userfaultfd: ${systemCode(error) ?? String(error)}`;
  }
}

/** The features of an open userfaultfd, which is closed, or why it did not open. */
function use(fd: number): UserfaultfdFeature[] | string {
  if (fd < 0) return `userfaultfd: ${errnoName()}`;
  try {
    // struct uffdio_api: api, features, ioctls. With no feature asked for it answers with all.
    const api = new BigUint64Array([UFFD_API, 0n, 0n]);
    if (ioctlApi(fd, UFFDIO_API, api) < 0) return `UFFDIO_API: ${errnoName()}`;
    const names = Object.keys(featureBits) as UserfaultfdFeature[];
    return names.filter((name) => ((api[1]! >> BigInt(featureBits[name])) & 1n) === 1n);
  } finally {
    closeSync(fd);
  }
}
