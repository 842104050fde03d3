import { PageTables } from "../arch/x86/page-tables.ts";
import type { GuestVirtual } from "../base/address.ts";
import { ExecutableAreas } from "../linux/executable-areas.ts";
import type { ExecutableArea } from "../linux/executable-areas.ts";
import { MappedFiles } from "../linux/mapped-file.ts";
import { heldByGroup } from "../linux/process-selection.ts";
import { Tasks } from "../linux/task.ts";
import { fact } from "./sweep-facts.ts";
import { processes } from "./user-facts.ts";
import type { CalledProcess, Listed } from "./user-facts.ts";

/** What a process may execute. */
export type ProcessMemory = {
  readonly process: CalledProcess;
  readonly mm: GuestVirtual;
  readonly tables: PageTables;
  readonly areas: readonly ExecutableArea[];
};

/** Files that processes have mapped, by their `struct file`. */
export const mappedFiles = fact(({ kernel }) => new MappedFiles(kernel));

/** The executable mappings of every process; those of a shared memory once. */
export const executableMemory = fact((facts): Listed<ProcessMemory> => {
  const { kernel } = facts;
  const tasks = new Tasks(kernel);
  const areas = new ExecutableAreas(kernel);
  const pgd = kernel.reader("mm_struct", "pgd");
  const budget = kernel.budget();
  const found = facts.get(processes);
  const problems = [...found.problems];
  const seen = new Set<GuestVirtual>();
  const rows: ProcessMemory[] = [];
  for (const process of found.rows) {
    if (process.kthread || process.state === "Z" || process.state === "X") continue;
    const mm = heldByGroup(tasks, process.task, tasks.mm, budget);
    if (mm === undefined || seen.has(mm)) continue;
    seen.add(mm);
    const list = areas.of(mm, budget);
    const root = kernel.space.physical(pgd(mm));
    if (list !== undefined && root >= 0) {
      const { folding, tables } = kernel.space;
      const own = new PageTables(kernel.memory, folding, root, tables.levels);
      rows.push({ process, mm, tables: own, areas: list });
    } else if (tasks.isListed(process.task) && tasks.mm(process.task) === mm) {
      problems.push(`the mappings of process ${process.pid} (${process.comm}) cannot be read`);
    }
  }
  return { rows, problems };
});
