import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import { Tasks } from "./task.ts";

/** Descriptors that are looked through in one table; few programs have more. */
const MAX_FDS = 65_536;

/**
 * Whether some task has a descriptor that leads to no file yet: whoever opens a file or accepts a
 * connection takes the number first (`get_unused_fd_flags`), makes the file, and puts it there last
 * (`fd_install`, fs/file.c). Nobody has that file meanwhile.
 */
export function isOpeningFile(kernel: Kernel): boolean {
  const tasks = new Tasks(kernel);
  const budget = kernel.budget();
  const seen = new Set<GuestVirtual>();
  return tasks.processes(budget).some((leader) =>
    tasks.threads(leader, budget).some((task) => {
      const files = tasks.files(task);
      if (!(files < 0) || seen.has(files)) return false;
      seen.add(files);
      return hasReserved(kernel, files, budget);
    }),
  );
}

function hasReserved(kernel: Kernel, files: GuestVirtual, budget: Budget): boolean {
  const { space } = kernel;
  const table = kernel.reader("files_struct", "fdt")(files);
  const count = Math.min(kernel.reader("fdtable", "max_fds")(table), MAX_FDS);
  const array = kernel.reader("fdtable", "fd")(table);
  const bitmap = kernel.reader("fdtable", "open_fds")(table);
  const bits = count > 0 ? space.bytes(bitmap, Math.floor(count / 8)) : undefined;
  if (bits === undefined) return false;
  for (const [index, byte] of bits.entries()) {
    if (!budget.step()) return false;
    if (byte === 0) continue;
    for (let bit = 0; bit < 8; bit++) {
      const isTaken = (byte & (1 << bit)) !== 0;
      if (isTaken && space.pointer(array + (index * 8 + bit) * 8) === 0) return true;
    }
  }
  return false;
}
