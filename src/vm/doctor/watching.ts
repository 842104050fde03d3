import { spawn } from "node:child_process";
import { closeSync, existsSync, readFileSync } from "node:fs";
import { systemCode } from "../../base/errors.ts";
import { tryPagemapScan } from "../../native/pagemap-scan-probe.ts";
import { pidfdGetfd, pidfdOpen } from "../../native/pidfd.ts";
import { ProcessReader } from "../../native/process-memory.ts";
import { probeUserfaultfd } from "../../native/userfaultfd-probe.ts";
import type { UserfaultfdFeature } from "../../native/userfaultfd-probe.ts";
import { listQemuProcesses } from "../qemu-process.ts";
import { watchability } from "../watchability.ts";
import { asRoot, missing, ok, warning } from "./check.ts";
import type { Probe } from "./check.ts";

const NO_TRAPS = "writes to a guest's memory cannot be trapped; sweeps find changes afterwards";
const trapFeatures: readonly UserfaultfdFeature[] = [
  "pagefault-flag-wp",
  "thread-id",
  "exact-address",
  "wp-hugetlbfs-shmem",
  "wp-unpopulated",
];

/** Write traps. */
export const userfaultfd: Probe = {
  id: "userfaultfd",
  title: "userfaultfd",
  look(host) {
    const { full, userModeOnly, features, errors } = probeUserfaultfd();
    const lacking = trapFeatures.filter((feature) => !features.has(feature));
    if ((full !== undefined || userModeOnly) && lacking.length > 0) {
      return missing(`this kernel lacks ${lacking.join(", ")}`, `${NO_TRAPS} (Linux 6.5 has all)`);
    }
    if (full === "syscall") return ok("write traps for every guest");
    if (full === "device") return ok("write traps for every guest, through /dev/userfaultfd");
    const mend = asRoot(host, "sysctl vm.unprivileged_userfaultfd=1");
    if (userModeOnly) {
      return warning("user mode only", "write traps work under TCG, not under KVM", mend);
    }
    return missing(errors.join("; "), NO_TRAPS, mend);
  },
};

/** The cheap list of changed pages. */
export const pagemapScan: Probe = {
  id: "pagemap-scan",
  title: "PAGEMAP_SCAN",
  look() {
    const found = attempt(tryPagemapScan);
    if (found === true) return ok("changed pages are listed in a fraction of a millisecond");
    const meaning =
      "each sweep reads all that it checks, instead of what changed (Linux 6.7 has it)";
    return warning(String(found), meaning);
  },
};

const YAMA = "/proc/sys/kernel/yama/ptrace_scope";

/** Whether processes of the same user may be read and traced. */
export const ptraceScope: Probe = {
  id: "ptrace-scope",
  title: "ptrace scope",
  look(host) {
    // Documentation/admin-guide/LSM/Yama.rst
    const scope = existsSync(YAMA) ? Number(readFileSync(YAMA, "utf8")) : 0;
    const found = existsSync(YAMA) ? `Yama's ptrace_scope is ${scope}` : "Yama is not active";
    if (scope === 0 || (scope <= 2 && host.root)) return ok(found);
    const mend = asRoot(host, "sysctl kernel.yama.ptrace_scope=0");
    if (scope >= 3) {
      const meaning =
        "no process may be traced until the next boot: no write traps, and RAM that is no file cannot be read";
      return missing(
        found,
        meaning,
        "set kernel.yama.ptrace_scope below 3 in /etc/sysctl.d, then reboot",
      );
    }
    const who = scope === 1 ? "only guests that kvmsec's own processes started" : "no guest";
    return warning(
      found,
      `without root, ${who} can be trapped, or read where RAM is no file`,
      mend,
    );
  },
};

/** Process descriptors. */
export const pidfd: Probe = {
  id: "pidfd",
  title: "pidfd",
  look() {
    const own = pidfdOpen(process.pid);
    if (typeof own === "string") {
      return missing(
        `pidfd_open: ${own}`,
        "the end of a guest is noticed by polling, and writes cannot be trapped",
      );
    }
    try {
      const copy = pidfdGetfd(own, 2);
      if (typeof copy === "string") return missing(`pidfd_getfd: ${copy}`, NO_TRAPS);
      closeSync(copy);
      return ok("pidfd_open and pidfd_getfd");
    } finally {
      closeSync(own);
    }
  },
};

/** Reading the memory of other processes. */
export const processMemory: Probe = {
  id: "process-memory",
  title: "process_vm_readv",
  async look() {
    const child = spawn("sleep", ["60"], { stdio: "ignore" });
    try {
      await new Promise((resolve, reject) => {
        child.once("spawn", resolve);
        child.once("error", reject);
      });
      const read = readFrom(child.pid!);
      if (read === undefined) return ok("the memory of a process of the same user was read");
      const meaning =
        "guests whose RAM is no file cannot be read; those with memfd or file RAM can";
      return missing(read, `${meaning} (a container's seccomp profile may forbid it)`);
    } catch (error) {
      return warning(String(error), "it could not be tried");
    } finally {
      child.kill("SIGKILL");
    }
  },
};

/** Reads the first page that the process has mapped; undefined where that worked, else the error. */
function readFrom(pid: number): string | undefined {
  const range = /^([0-9a-f]+)-[0-9a-f]+ r/m.exec(readFileSync(`/proc/${pid}/maps`, "utf8"));
  if (range === null) return "the process has no readable page";
  const target = new Uint8Array(new ArrayBuffer(4));
  const read = new ProcessReader(pid).read(BigInt(`0x${range[1]}`), target);
  if (typeof read === "string") return read;
  return read === target.length ? undefined : `only ${read} bytes were read`;
}

/** The QEMUs that run now. */
export const targets: Probe = {
  id: "targets",
  title: "running guests",
  look(host) {
    // The doctor's own QEMUs, which other probes are asking just now, are no guests.
    const all = listQemuProcesses().filter(({ pid }) => parentOf(pid) !== process.pid);
    if (all.length === 0) return ok("no QEMU runs on this host");
    const blocked = all.filter((qemu) => watchability(qemu).reading === "none");
    const found = `${all.length - blocked.length} of ${all.length} running QEMUs can be read`;
    if (blocked.length === 0) return ok(found);
    const mend = host.root ? undefined : "run kvmsec as root, or as the user of those guests";
    return warning(found, "'kvmsec targets' says why the others cannot", mend);
  },
};

/** Field 4 of /proc/PID/stat; NaN where the process is gone. */
function parentOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return Number.NaN;
  }
}

function attempt(probe: () => true | string): true | string {
  try {
    return probe();
  } catch (error) {
    return systemCode(error) ?? String(error);
  }
}

export const watchingProbes: readonly Probe[] = [
  userfaultfd,
  pagemapScan,
  ptraceScope,
  pidfd,
  processMemory,
  targets,
];
