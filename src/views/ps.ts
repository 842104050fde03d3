import { hex } from "../base/hex.ts";
import { capabilityNames } from "../linux/capabilities.ts";
import type { Credentials } from "../linux/credentials.ts";
import { ProcessDecoder } from "../linux/process.ts";
import type { Process } from "../linux/process.ts";
import type { ProcessSelection } from "../linux/process-selection.ts";
import type { CommandLine } from "../linux/user-memory.ts";
import type { View } from "./view.ts";

/** A process with what it was called with; undefined where that is not in RAM. */
export type ProcessRow = Process & { readonly commandLine: CommandLine | undefined };

/** The guest's processes, as its own kernel has them. */
export const ps: View<ProcessRow, ProcessSelection> = {
  schema: "kvmsec.ps/1",
  list: "processes",
  *read(kernel, options, problem) {
    const decoder = new ProcessDecoder(kernel);
    const budget = kernel.budget();
    for (const process of decoder.all(budget, problem, options)) {
      yield { ...process, commandLine: decoder.commandLine(process, budget) };
    }
  },
  json: ({ task, commandLine, credentials, ...row }, kernel) => ({
    ...row,
    startTime: row.startTime ?? null,
    exe: row.exe ?? null,
    cmdline: commandLine?.text ?? null,
    argv: commandLine?.argv ?? null,
    ...(commandLine?.complete === false ? { cmdlineCut: true } : {}),
    cwd: row.cwd ?? null,
    root: row.root ?? null,
    tty: row.tty ?? null,
    tracer: row.tracer ?? null,
    loginUid: row.loginUid ?? null,
    namespacePids: row.namespacePids ?? [row.pid],
    cgroup: row.cgroup ?? null,
    container: row.container ?? null,
    credentials: credentialsJson(credentials),
    task: kernel.format(task),
  }),
};

function credentialsJson({ capabilities, ...credentials }: Credentials): object {
  const { userNamespace: _, ...ids } = credentials;
  const sets = Object.entries(capabilities).map(([name, set]) => [name, capabilityJson(set)]);
  return { ...ids, capabilities: Object.fromEntries(sets) };
}

/** The names of an unreadable set are not an empty list. */
function capabilityJson(set: number): object {
  return set === set
    ? { mask: hex(set), names: capabilityNames(set) }
    : { mask: null, names: null };
}
