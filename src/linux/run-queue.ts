import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import { listEntries } from "./list.ts";
import { PerCpu } from "./per-cpu.ts";

type Problem = (reason: string) => void;

/**
 * Tasks that the scheduler knows at this moment: what runs on each processor, and what of the fair
 * class waits to (struct rq, kernel/sched/sched.h). A part of all tasks only, but one that nobody
 * can leave who wants to run.
 */
export function runningTasks(kernel: Kernel, problem: Problem): Set<GuestVirtual> {
  const tasks = new Set<GuestVirtual>();
  const runqueues = kernel.symbol("runqueues");
  const current = kernel.readerOf("rq", "curr");
  if (current === undefined || runqueues !== runqueues) return tasks;
  const waiting = kernel.types.member("rq", "cfs_tasks")?.offset;
  const link = kernel.types.member("task_struct", "se.group_node")?.offset;
  const budget = kernel.budget();
  for (const cpu of new PerCpu(kernel).cpus) {
    const rq = kernel.perCpu(runqueues, cpu);
    const running = current(rq);
    if (running < 0) tasks.add(running);
    if (waiting === undefined || link === undefined) continue;
    for (const task of listEntries(kernel, rq + waiting, link, budget, problem)) tasks.add(task);
  }
  return tasks;
}
