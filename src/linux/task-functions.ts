import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";

/** Where a task leads the kernel: to a table of functions, or to a function. */
export type TaskPointer = {
  readonly member: string;
  readonly slot: GuestVirtual;
  readonly value: GuestVirtual;
  /** The struct of the table; undefined for a function. */
  readonly table: string | undefined;
};

/**
 * Reads what schedules a task, what starts an interrupted system call of its anew, and who loaded its
 * program (include/linux/sched.h, restart_block.h, mm_types.h). NULL is left out.
 */
export function taskPointers(kernel: Kernel): (task: GuestVirtual) => TaskPointer[] {
  const at = (struct: string, path: string): number =>
    kernel.types.member(struct, path)?.offset ?? -1;
  const ofTask = [
    { member: "sched_class", offset: at("task_struct", "sched_class"), table: "sched_class" },
    { member: "restart_block.fn", offset: at("task_struct", "restart_block.fn"), table: undefined },
  ];
  const ofMemory = [{ member: "binfmt", offset: at("mm_struct", "binfmt"), table: "linux_binfmt" }];
  const mm = kernel.reader("task_struct", "mm");
  return (task) => {
    const memory = mm(task);
    const places = [
      ...ofTask.map((each) => ({ ...each, object: task })),
      ...(memory < 0 ? ofMemory.map((each) => ({ ...each, object: memory })) : []),
    ];
    return places.flatMap(({ member, offset, table, object }) => {
      const slot = object + offset;
      const value = offset < 0 ? 0 : kernel.space.pointer(slot);
      return value === 0 ? [] : [{ member, slot, value, table }];
    });
  };
}
