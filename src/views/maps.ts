import { heldByGroup, selectProcesses } from "../linux/process-selection.ts";
import type { ProcessSelection } from "../linux/process-selection.ts";
import { Tasks } from "../linux/task.ts";
import { Mappings } from "../linux/vma.ts";
import type { Mapping } from "../linux/vma.ts";
import type { View } from "./view.ts";

/** A mapping and whose it is. */
export type MappingRow = Mapping & { readonly pid: number; readonly comm: string };

/** With `rss` each mapping tells how much of it is in RAM. */
export type MappingOptions = ProcessSelection & { readonly rss?: boolean };

/** What processes have mapped, line by line as in /proc/PID/maps. */
export const maps: View<MappingRow, MappingOptions> = {
  schema: "kvmsec.maps/1",
  list: "mappings",
  *read(kernel, options, problem) {
    const tasks = new Tasks(kernel);
    const mappings = new Mappings(kernel);
    const budget = kernel.budget();
    for (const leader of selectProcesses(tasks, options, budget, problem)) {
      const mm = heldByGroup(tasks, leader, tasks.mm, budget);
      if (mm === undefined) continue;
      const pid = tasks.pid(leader);
      const comm = tasks.comm(leader) ?? "?";
      const faults: string[] = [];
      const all = mappings.all(mm, budget, (reason) => faults.push(reason));
      const rows = options.rss === true ? mappings.withResident(mm, all, budget) : all;
      kernel.lookAgain();
      // A process that has exited meanwhile took its mappings with it.
      if (!tasks.isListed(leader) || tasks.pid(leader) !== pid) continue;
      if (heldByGroup(tasks, leader, tasks.mm, budget) !== mm) continue;
      for (const fault of faults) problem(`process ${pid}: ${fault}`);
      for (const row of rows) yield { pid, comm, ...row };
    }
    if (mappings.files.paths.exhausted) problem("paths are more than a true guest has");
  },
  json: ({ start, end, vma, path, ...row }, kernel) => ({
    ...row,
    start: kernel.format(start),
    end: kernel.format(end),
    size: end - start,
    path: path ?? null,
    vma: kernel.format(vma),
  }),
};
