import type { Kernel } from "./kernel.ts";
import { isHeld } from "./mutex.ts";
import { WorkQueues } from "./workqueue.ts";

/** State of a grace period in the low bits of its number; 0 between them (kernel/rcu/rcu.h). */
const RCU_SEQ_STATE_MASK = 3;
const WORK_STRUCT_PENDING = 1;

/**
 * Whether the kernel may just be giving code back. A module that leaves its list, and the part of
 * one that was for its start only, stay executable until a grace period is over, and are in no list
 * meanwhile (`free_module`, `do_free_init` in kernel/module/main.c); so does BPF code that has pages
 * of its own.
 */
export function isReleasingCode(kernel: Kernel): boolean {
  return isHeld(kernel, "module_mutex") || isInitFreeing(kernel) || isGracePeriod(kernel);
}

/**
 * What the kernel is in the middle of at this very moment that leaves code executable which no list
 * has: a module that loads or unloads, the start of one that is given back, a trampoline of ftrace's
 * that comes or goes (kernel/trace/ftrace.c). Undefined where it is nothing of these.
 */
export function codeInTransit(kernel: Kernel): string | undefined {
  if (isHeld(kernel, "module_mutex")) return "a module is just being loaded or unloaded";
  if (isInitFreeing(kernel) || isWorkedAt(kernel, "do_free_init")) {
    return "the start of a module is just being given back";
  }
  return isHeld(kernel, "ftrace_lock") ? "ftrace is just changing what it traces" : undefined;
}

/** Whether some worker is at that work. */
function isWorkedAt(kernel: Kernel, name: string): boolean {
  const work = kernel.symbol(name);
  const callbacks = new WorkQueues(kernel).callbacks(kernel.budget(), () => {});
  return work === work && callbacks.some((callback) => callback.function === work);
}

/** Parts of modules wait to be freed by a work that has not begun. */
function isInitFreeing({ symbols, space }: Kernel): boolean {
  // `data` is the first member of work_struct and holds the flags (include/linux/workqueue.h).
  return (space.u32(symbols.address("init_free_wq")) & WORK_STRUCT_PENDING) !== 0;
}

/** A grace period runs or was asked for. Numbers wrap, so the kernel compares them by difference. */
function isGracePeriod(kernel: Kernel): boolean {
  const { space, types } = kernel;
  const state = kernel.symbol("rcu_state");
  if (!types.has("rcu_state", "gp_seq") || !types.has("rcu_node", "gp_seq_needed")) return false;
  const current = space.u32(state + kernel.offset("rcu_state", "gp_seq"));
  const root = state + kernel.offset("rcu_state", "node");
  const needed = space.u32(root + kernel.offset("rcu_node", "gp_seq_needed"));
  return (current & RCU_SEQ_STATE_MASK) !== 0 || ((needed - current) | 0) > 0;
}
