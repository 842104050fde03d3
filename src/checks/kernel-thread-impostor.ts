import type { Kernel } from "../linux/kernel.ts";
import { isHeldAt } from "../linux/mutex.ts";
import { Tasks } from "../linux/task.ts";
import type { Check } from "./check.ts";
import { processes } from "./user-facts.ts";
import type { CalledProcess } from "./user-facts.ts";

const KTHREADD = 2;
/** PF_WQ_WORKER (include/linux/sched.h): what the kernel's workers set first of all. */
const PF_WQ_WORKER = 0x20;

/** No user process poses as a kernel thread. */
export const kernelThreadImpostor: Check = {
  id: "kernel-thread-impostor",
  proves:
    "What looks like a kernel thread is one: bracketed names and kernel threads' names belong to tasks without memory of their own, children of kthreadd.",
  reads: "flags, mm, parent, comm and argument vector of every process",
  attack: ["T1036.004"],
  limits: "Names that look like a common daemon's are not judged.",
  // A helper of the kernel's keeps its maker's name until it has its program (begin_new_exec, fs/exec.c).
  halfDone: (kernel) => {
    const inExec = processesInExec(kernel);
    return ({ subject }) =>
      inExec.has(Number(subject["pid"])) ? "the process is just being given a program" : undefined;
  },
  run(context) {
    const { rows, problems } = context.facts.get(processes);
    for (const problem of problems) context.unseen(problem);
    const flags = context.kernel.reader("task_struct", "flags");
    const kernelNames = new Set(rows.filter(({ kthread }) => kthread).map(({ comm }) => comm));
    for (const process of rows) {
      const signs = process.kthread
        ? kernelSigns(process, flags(process.task))
        : userSigns(process, kernelNames);
      if (signs.length === 0) continue;
      const { pid, comm, exe, ppid, argv } = process;
      context.report({
        severity: "high",
        confidence: signs.length > 1 ? "high" : "medium",
        title: `Process ${pid} (${comm}) poses as a kernel thread: ${signs.join(", ")}.`,
        subject: { pid, comm },
        evidence: { exe: exe ?? null, ppid, argv: argv ?? null },
      });
    }
    context.cover(rows.length);
  },
};

/** From before it has the new program until it has all of it, exec keeps tracers away. */
function processesInExec(kernel: Kernel): ReadonlySet<number> {
  const tasks = new Tasks(kernel);
  const guard = kernel.readerOf("signal_struct", "cred_guard_mutex");
  if (guard === undefined) return new Set();
  const leaders = tasks.processes(kernel.budget());
  const inExec = leaders.filter((leader) => isHeldAt(kernel, guard(tasks.signal(leader))));
  return new Set(inExec.map((leader) => tasks.tgid(leader)));
}

function userSigns({ argv, comm, exe }: CalledProcess, kernelNames: ReadonlySet<string>): string[] {
  // A process that has exited has no program; one in the middle of execve may have none yet.
  if (exe === undefined) return [];
  const title = argv?.[0] ?? "";
  return [
    ...(/^\[[^\]]+\]/.test(title) ? [`it calls itself ${JSON.stringify(title)}`] : []),
    ...(kernelNames.has(comm) ? ["it has a kernel thread's name"] : []),
  ];
}

/** Kernel threads are made by kthreadd, which swapper made; user-mode helpers are not threads yet. */
function kernelSigns({ pid, ppid, exe, comm }: CalledProcess, flags: number): string[] {
  const works = (flags & PF_WQ_WORKER) !== 0;
  return [
    ...(comm.startsWith("kworker/") && !works ? ["it is no worker of the kernel's"] : []),
    ...(ppid !== KTHREADD && pid !== KTHREADD ? [`its parent is ${ppid}`] : []),
    ...(exe === undefined ? [] : ["it runs a program"]),
  ];
}
