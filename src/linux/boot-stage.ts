import { firstProcess } from "./first-process.ts";
import type { Kernel } from "./kernel.ts";

/** `system_state` has reached SYSTEM_RUNNING (or beyond: halt, restart, suspend). */
export function hasBooted(kernel: Kernel): boolean {
  const running = kernel.types.enumerator("system_states", "SYSTEM_RUNNING");
  return running !== undefined && kernel.space.u32(kernel.symbol("system_state")) >= running;
}

/**
 * Whether it still sets itself up (start_kernel and kernel_init in init/main.c): gates, pages and
 * pointers are not yet what they will be, and differ from what they ought to be without anybody's
 * doing. Whoever only says so is not believed: a first process with memory of its own runs a
 * program, and that it does only after the boot.
 */
export function isBooting(kernel: Kernel): boolean {
  if (!kernel.types.has("task_struct", "mm")) return false;
  if (kernel.types.enumerator("system_states", "SYSTEM_RUNNING") === undefined) return false;
  const first = firstProcess(kernel);
  const mm = first === undefined ? 0 : kernel.reader("task_struct", "mm")(first);
  return !hasBooted(kernel) && mm === 0;
}
