import { selectProcesses } from "../linux/process-selection.ts";
import type { ProcessSelection } from "../linux/process-selection.ts";
import { Tasks } from "../linux/task.ts";
import { groupThreads } from "../linux/thread-group.ts";
import { ThreadDecoder } from "../linux/thread.ts";
import type { Thread } from "../linux/thread.ts";
import type { View } from "./view.ts";

/** Every thread, the leader of each process first. */
export const threads: View<Thread, ProcessSelection> = {
  schema: "kvmsec.threads/1",
  list: "threads",
  *read(kernel, options, problem) {
    const tasks = new Tasks(kernel);
    const decoder = new ThreadDecoder(kernel, tasks);
    const budget = kernel.budget();
    for (const leader of selectProcesses(tasks, options, budget, problem)) {
      yield* groupThreads(kernel, { tasks, decoder }, leader, budget, problem);
    }
  },
  json: ({ task, stack, stackPointer, ...row }, kernel) => ({
    ...row,
    startTime: row.startTime ?? null,
    stack: kernel.format(stack),
    stackPointer: kernel.format(stackPointer),
    task: kernel.format(task),
  }),
};
