import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";

/**
 * The first process of `init_task`'s list, which rest_init (init/main.c) makes; undefined where there
 * is none yet, NaN where that cannot be read.
 */
export function firstProcess(kernel: Kernel): GuestVirtual | undefined {
  const idle = kernel.symbol("init_task");
  const tasks = kernel.types.member("task_struct", "tasks")?.offset ?? Number.NaN;
  const first = kernel.space.pointer(idle + tasks) - tasks;
  return first === idle ? undefined : first;
}
