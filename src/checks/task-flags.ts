import { foreignFlags } from "../linux/task-flags.ts";
import { Tasks } from "../linux/task.ts";
import type { Check } from "./check.ts";
import { userThreads } from "./user-facts.ts";

/** A bit that so many threads have is one that a newer kernel gave a meaning to. */
const MANY = 0.2;
const FEW_THREADS = 5;

/** No thread of a user program carries flags that no kernel gives to one. */
export const taskFlags: Check = {
  id: "task-flags",
  proves:
    "No thread of a user program has a bit in task_struct.flags that means nothing, or that only kernel threads have.",
  reads: "flags and state of every thread",
  attack: ["T1014", "T1564.001"],
  limits:
    "A bit that the kernel itself sets and clears again is judged only in threads that sleep; bits that user programs may have are not judged; a bit that every fifth thread has counts as a newer kernel's.",
  run(context) {
    const { kernel, facts } = context;
    const tasks = new Tasks(kernel);
    const { rows, problems } = facts.get(userThreads);
    for (const problem of problems) context.unseen(problem);
    for (const { bit, name, transient } of foreignFlags(kernel)) {
      const marked = rows.filter(({ task }) => (tasks.flags(task) & bit) !== 0);
      const wrong = marked.filter(({ task }) => !transient || tasks.state(task) === "S");
      if (marked.length > Math.max(FEW_THREADS, rows.length * MANY)) continue;
      for (const { task, process } of wrong) {
        const { pid, comm, exe } = process;
        const flag = `0x${(bit >>> 0).toString(16)}`;
        context.report({
          severity: "high",
          confidence: transient ? "medium" : "high",
          title: `Process ${pid} (${comm}) is marked with the flag ${flag} (${name}), which no user program has.`,
          subject: { pid, task: kernel.format(task), flag },
          evidence: {
            exe: exe ?? null,
            task: kernel.format(task),
            flags: `0x${(tasks.flags(task) >>> 0).toString(16)}`,
          },
        });
      }
    }
    context.cover(rows.length);
  },
};
