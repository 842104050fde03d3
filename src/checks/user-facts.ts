import type { GuestVirtual } from "../base/address.ts";
import type { Process } from "../linux/process.ts";
import { ProcessDecoder } from "../linux/process.ts";
import { Tasks } from "../linux/task.ts";
import { readSockets } from "../linux/sockets.ts";
import type { FoundSocket } from "../linux/sockets.ts";
import { fact } from "./sweep-facts.ts";

/** Findings show what a program was called with, which may be megabytes. */
const MOST_ARGUMENTS = 32;
const LONGEST_ARGUMENT = 512;

/** What was read of a list, and what of it could not be. */
export type Listed<T> = { readonly rows: readonly T[]; readonly problems: readonly string[] };

export type CalledProcess = Process & {
  /** The beginning of what it was called with; undefined for kernel threads and where that is not in RAM. */
  readonly argv: readonly string[] | undefined;
};

/** All processes with their argument vectors. */
export const processes = fact(({ kernel }): Listed<CalledProcess> => {
  const problems: string[] = [];
  const decoder = new ProcessDecoder(kernel);
  const budget = kernel.budget();
  const rows = Array.from(
    decoder.all(budget, (reason) => problems.push(reason)),
    (process) => ({
      ...process,
      argv: decoder
        .commandLine(process, budget)
        ?.argv.slice(0, MOST_ARGUMENTS)
        .map((argument) => argument.slice(0, LONGEST_ARGUMENT)),
    }),
  );
  return { rows, problems };
});

/** A thread of a user process: credentials and flags are its own. */
export type UserThread = {
  readonly process: CalledProcess;
  readonly task: GuestVirtual;
  /** Of its `real_cred`. */
  readonly cred: GuestVirtual;
};

/** All threads of user processes that have not exited. */
export const userThreads = fact((facts): Listed<UserThread> => {
  const { kernel } = facts;
  const tasks = new Tasks(kernel);
  const budget = kernel.budget();
  const found = facts.get(processes);
  const problems = [...found.problems];
  const rows = found.rows
    .filter(({ kthread, state }) => !kthread && state !== "Z" && state !== "X")
    .flatMap((process) => {
      const several = process.threads > 1;
      const group = several
        ? tasks.threads(process.task, budget, (reason) => problems.push(reason))
        : [process.task];
      return group.map((task) => ({ process, task, cred: tasks.realCred(task) }));
    });
  return { rows, problems };
});

/** All sockets, by open files and by the kernel's tables. */
export const sockets = fact(({ kernel }): Listed<FoundSocket> => {
  const problems: string[] = [];
  const budget = kernel.budget();
  const rows = readSockets(kernel, ["fd", "hash"], budget, (reason) => problems.push(reason));
  return { rows, problems };
});
