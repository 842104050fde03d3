import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { OpenFiles } from "../linux/open-file.ts";
import type { OpenFile } from "../linux/open-file.ts";
import { selectProcesses } from "../linux/process-selection.ts";
import type { ProcessSelection } from "../linux/process-selection.ts";
import { Tasks } from "../linux/task.ts";
import type { View } from "./view.ts";

/** An open file and whose it is. */
export type FileRow = OpenFile & {
  readonly pid: number;
  /** The thread that it was found through: the leader, unless that has other files or none. */
  readonly tid: number;
  readonly comm: string;
};

/** The files that processes have open, as in /proc/PID/fd. */
export const files: View<FileRow, ProcessSelection> = {
  schema: "kvmsec.files/1",
  list: "files",
  *read(kernel, options, problem) {
    const tasks = new Tasks(kernel);
    const openFiles = new OpenFiles(kernel);
    const budget = kernel.budget();
    for (const leader of selectProcesses(tasks, options, budget, problem)) {
      const pid = tasks.pid(leader);
      for (const [table, task] of tables(tasks, leader, budget, problem)) {
        const tid = tasks.pid(task);
        const comm = tasks.comm(leader) ?? "?";
        const faults: string[] = [];
        const rows = [...openFiles.all(table, budget, (reason) => faults.push(reason))];
        kernel.lookAgain();
        // A process that has ended meanwhile, and its memory may be another's, closed its files.
        if (!tasks.isListed(leader) || tasks.pid(leader) !== pid) break;
        if (tasks.files(task) !== table || !tasks.isThreadListed(task)) continue;
        for (const fault of faults) problem(`process ${pid}: ${fault}`);
        for (const row of rows) yield { pid, tid, comm, ...row };
      }
    }
    if (openFiles.files.paths.exhausted) problem("paths are more than a true guest has");
  },
  json: ({ path, flags, file, ...row }, kernel) => ({
    ...row,
    path: path ?? null,
    flags: `0${flags.toString(8)}`,
    file: kernel.format(file),
  }),
};

/** The tables of descriptors of a process, each with the first thread that has it. */
function tables(
  tasks: Tasks,
  leader: GuestVirtual,
  budget: Budget,
  problem: (reason: string) => void,
): Map<GuestVirtual, GuestVirtual> {
  const found = new Map<GuestVirtual, GuestVirtual>();
  for (const task of tasks.threads(leader, budget, problem)) {
    const table = tasks.files(task);
    if (table < 0 && !found.has(table)) found.set(table, task);
  }
  return found;
}
