import { OpenFiles } from "../linux/open-file.ts";
import type { OpenFile } from "../linux/open-file.ts";
import { heldByGroup, selectProcesses } from "../linux/process-selection.ts";
import type { ProcessSelection } from "../linux/process-selection.ts";
import { Tasks } from "../linux/task.ts";
import type { View } from "./view.ts";

/** An open file and whose it is. */
export type FileRow = OpenFile & { readonly pid: number; readonly comm: string };

/** The files that processes have open, as in /proc/PID/fd. */
export const files: View<FileRow, ProcessSelection> = {
  schema: "kvmsec.files/1",
  list: "files",
  *read(kernel, options, problem) {
    const tasks = new Tasks(kernel);
    const openFiles = new OpenFiles(kernel);
    const budget = kernel.budget();
    for (const leader of selectProcesses(tasks, options, budget, problem)) {
      const table = heldByGroup(tasks, leader, tasks.files, budget);
      if (table === undefined) continue;
      const pid = tasks.pid(leader);
      const comm = tasks.comm(leader) ?? "?";
      const faults: string[] = [];
      const rows = [...openFiles.all(table, budget, (reason) => faults.push(reason))];
      // A process that has exited meanwhile closed its files.
      if (heldByGroup(tasks, leader, tasks.files, budget) !== table) continue;
      if (!tasks.isListed(leader)) continue;
      for (const fault of faults) problem(`process ${pid}: ${fault}`);
      for (const row of rows) yield { pid, comm, ...row };
    }
  },
  json: ({ path, flags, file, ...row }, kernel) => ({
    ...row,
    path: path ?? null,
    flags: `0${flags.toString(8)}`,
    file: kernel.format(file),
  }),
};
