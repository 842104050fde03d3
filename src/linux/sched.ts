/** Values of include/linux/sched.h and include/uapi/linux/sched.h that tasks are shown by. */

/** PF_KTHREAD, the same bit since 2.6. */
export const PF_KTHREAD = 0x0020_0000;
/** PF_EXITING: in do_exit (kernel/exit.c). */
export const PF_EXITING = 0x4;
/** PF_WQ_WORKER: a worker of a workqueue. */
export const PF_WQ_WORKER = 0x20;
const TASK_REPORT = 0x7f;
const TASK_IDLE = 0x402;
/** Since 5.15: sleeping on an rtmutex-based lock; shown as D. */
const TASK_RTLOCK_WAIT = 0x1000;
/** Since 6.1: frozen, shown as D. */
const TASK_FROZEN = 0x8000;
const STATE_LETTERS = "RSDTtXZPI";
const POLICIES = ["OTHER", "FIFO", "RR", "BATCH", "ISO", "IDLE", "DEADLINE", "EXT"] as const;
/** DEFAULT_PRIO and MAX_RT_PRIO (include/linux/sched/prio.h). */
const DEFAULT_PRIO = 120;
const MAX_RT_PRIO = 100;

/** The letter that `ps` shows (task_state_index), or `?`. */
export function stateLetter(state: number, exitState: number): string {
  if (state !== state || exitState !== exitState) return "?";
  let report = (state | exitState) & TASK_REPORT;
  if ((state & TASK_IDLE) === TASK_IDLE) return "I";
  if ((state & (TASK_RTLOCK_WAIT | TASK_FROZEN)) !== 0) report = 2;
  return STATE_LETTERS[report === 0 ? 0 : 32 - Math.clz32(report)] ?? "?";
}

/** `OTHER`, `FIFO` …, as `ps -o policy` without its abbreviation. */
export function policyName(policy: number): string {
  return POLICIES[policy] ?? "?";
}

/** −20 … 19, from `static_prio`. */
export function niceOf(staticPriority: number): number {
  return staticPriority - DEFAULT_PRIO;
}

/** Field 18 of /proc/PID/stat (task_prio in kernel/sched/syscalls.c), from `prio`. */
export function priorityOf(priority: number): number {
  return priority - MAX_RT_PRIO;
}
