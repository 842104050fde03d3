import { ProcessDecoder } from "../linux/process.ts";
import type { Process } from "../linux/process.ts";
import type { View } from "./view.ts";

/** A process with its argument vector; undefined where that is not in RAM. */
export type ProcessRow = Process & { readonly cmdline: readonly string[] | undefined };

/** The guest's processes, as its own kernel has them. */
export const ps: View<ProcessRow> = {
  schema: "kvmsec.ps/1",
  list: "processes",
  *read(kernel, _options, problem) {
    const decoder = new ProcessDecoder(kernel);
    for (const process of decoder.all(kernel.budget(), problem)) {
      yield { ...process, cmdline: decoder.commandLine(process.task) };
    }
  },
  json: ({ task, cmdline, effectiveCapabilities, ...row }, kernel) => ({
    ...row,
    startTime: row.startTime ?? null,
    exe: row.exe ?? null,
    cmdline: cmdline ?? null,
    cgroup: row.cgroup ?? null,
    container: row.container ?? null,
    capabilities: { effective: effectiveCapabilities ?? null },
    task: kernel.format(task),
  }),
};
