import type { GuestVirtual } from "../base/address.ts";
import type { Credentials } from "./credentials.ts";
import type { Namespaces } from "./namespaces.ts";

/** One process, as `kvmsec ps` shows it. Undefined or NaN where the guest's memory did not tell. */
export type Process = {
  readonly pid: number;
  readonly tgid: number;
  readonly ppid: number;
  readonly uid: number;
  readonly gid: number;
  /** `task_struct.comm`, at most 15 bytes. */
  readonly comm: string;
  /** As ps shows it: a kernel thread's whole name and what it works at, else `comm`. */
  readonly name: string;
  /** As ps shows it: `R`, `S`, `D`, `T`, `t`, `X`, `Z`, `P`, `I`. */
  readonly state: string;
  readonly kthread: boolean;
  /** By the guest's clock. */
  readonly startTime: Date | undefined;
  /** The program's path; undefined for a kernel thread and for one that has exited. */
  readonly exe: string | undefined;
  readonly cwd: string | undefined;
  /** `/` unless it was changed by chroot. */
  readonly root: string | undefined;
  readonly threads: number;
  readonly pgid: number;
  readonly sid: number;
  /** Its controlling terminal: `pts/0`. */
  readonly tty: string | undefined;
  readonly nice: number;
  /** As field 18 of /proc/PID/stat: 20 + nice, or below 0 for real time. */
  readonly priority: number;
  readonly policy: string;
  /** Processor time of all its threads so far, in milliseconds. */
  readonly cpuTimeMs: number;
  /** Resident and mapped bytes; 0 without memory of its own. */
  readonly rss: number;
  readonly vsz: number;
  /** Who traces it by ptrace. */
  readonly tracer: number | undefined;
  /** 0 off, 1 strict, 2 filtered. */
  readonly seccomp: number;
  readonly noNewPrivileges: boolean;
  /** Who logged in, for the audit log; undefined for nobody. */
  readonly loginUid: number | undefined;
  readonly credentials: Credentials;
  readonly namespaces: Namespaces;
  /** Its pid in each namespace, the initial one first; undefined where that is the only one. */
  readonly namespacePids: readonly number[] | undefined;
  /** Path in the unified hierarchy, as seen from its root. */
  readonly cgroup: string | undefined;
  readonly container: string | undefined;
  /** Address of its task_struct. */
  readonly task: GuestVirtual;
};
