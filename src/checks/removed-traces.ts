import { Files } from "../linux/file.ts";
import { FdTables } from "../linux/fd-table.ts";
import { heldByGroup } from "../linux/process-selection.ts";
import { Tasks } from "../linux/task.ts";
import { UserMemory } from "../linux/user-memory.ts";
import type { Check, CheckContext } from "./check.ts";
import { withoutDeleted } from "./paths.ts";
import { processes } from "./user-facts.ts";
import type { CalledProcess } from "./user-facts.ts";

/** Where logs of the system lie. */
const LOGS = /^\/(var\/log|run\/log\/journal)\//;
/** What is renamed before it is packed and removed, which whoever writes it may notice late. */
const ROTATED = /([.-]\d+|\.(old|gz|xz|zst|bz2|bak|tmp)|@[0-9a-f-]{32,}\.journal|~)$/;
const SHELLS = /^(bash|zsh|ksh|mksh|fish|dash|ash|sh)$/;
/** Variables by which a shell remembers nothing (bash(1), zshparam(1)). */
const FORGETFUL = /^(HISTFILE=(\/dev\/null)?|HISTSIZE=0|HISTFILESIZE=0|SAVEHIST=0)$/;
const O_ACCMODE = 3;

/** Logs and shells' histories go where they are looked for. */
export const removedTraces: Check = {
  id: "removed-traces",
  proves:
    "No program writes on into a log of the system that was deleted, and no root's shell outside containers was started with its history turned off.",
  reads: "open files of every process; the environments of root's shells",
  attack: ["T1070.002", "T1070.003"],
  limits:
    "A log that was emptied in its place shows against a baseline only. A history that was turned off inside a shell shows in what that shell starts.",
  run(context) {
    const { rows, problems } = context.facts.get(processes);
    for (const problem of problems) context.unseen(problem);
    const logs = new OpenLogs(context);
    const memory = new UserMemory(context.kernel);
    for (const row of rows) {
      if (row.kthread) continue;
      for (const path of logs.deleted(row)) reportLog(context, row, path);
      checkHistory(context, row, memory);
    }
    context.cover(rows.length);
  },
};

/** Finds logs that are open for writing and have no name any more. */
class OpenLogs {
  readonly #context: CheckContext;
  readonly #tasks: Tasks;
  readonly #tables: FdTables;
  readonly #files: Files;
  readonly #dentry: (file: number) => number;

  constructor(context: CheckContext) {
    const { kernel } = context;
    this.#context = context;
    this.#tasks = new Tasks(kernel);
    this.#tables = new FdTables(kernel);
    this.#files = new Files(kernel);
    this.#dentry = kernel.reader("file", "f_path.dentry");
  }

  deleted({ task }: CalledProcess): ReadonlySet<string> {
    const budget = this.#context.kernel.budget();
    const table = heldByGroup(this.#tasks, task, this.#tasks.files, budget);
    const found = new Set<string>();
    if (table === undefined) return found;
    for (const { file } of this.#tables.descriptors(table, budget)) {
      const dentry = this.#dentry(file);
      if (!(dentry < 0) || !this.#files.paths.deleted(dentry)) continue;
      if ((this.#files.flags(file) & O_ACCMODE) === 0) continue;
      const path = withoutDeleted(this.#files.path(file) ?? "");
      if (LOGS.test(path) && !ROTATED.test(path)) found.add(path);
    }
    return found;
  }
}

function reportLog(context: CheckContext, { pid, comm, exe }: CalledProcess, path: string): void {
  context.report({
    severity: "medium",
    confidence: "medium",
    title: `Process ${pid} (${comm}) writes into ${path}, which was deleted.`,
    subject: { pid, path },
    attack: ["T1070.002"],
    evidence: { exe: exe ?? null },
  });
}

function checkHistory(context: CheckContext, row: CalledProcess, memory: UserMemory): void {
  const { pid, comm, exe, task, credentials, container } = row;
  const program = exe?.split("/").at(-1) ?? "";
  if (!SHELLS.test(program) || credentials.euid !== 0 || container !== undefined) return;
  const mm = new Tasks(context.kernel).mm(task);
  const off = (memory.environment(mm) ?? []).filter((entry) => FORGETFUL.test(entry));
  if (off.length === 0) return;
  context.report({
    severity: "low",
    confidence: "medium",
    title: `Root's shell ${pid} (${comm}) was started with its history turned off (${off.join(" ")}).`,
    subject: { pid, task: context.kernel.format(task), off },
    attack: ["T1070.003"],
    evidence: { exe: exe ?? null },
  });
}
