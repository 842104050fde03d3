import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Callback, Problem } from "./callback.ts";
import type { Kernel } from "./kernel.ts";
import { listSnapshot } from "./list-snapshot.ts";
import { Tasks } from "./task.ts";

/** A kernel thread and the function that it was started with. */
export type KernelThread = Callback & { readonly pid: number; readonly comm: string };

/**
 * What each kernel thread runs, and what waits in those that are workers of their own
 * (struct kthread_worker, kernel/kthread.c).
 */
export function* kernelThreads(
  kernel: Kernel,
  budget: Budget,
  problem: Problem,
): Generator<KernelThread> {
  const tasks = new Tasks(kernel);
  // struct kthread moved to a pointer of its own in 5.17.
  const kthreadOf =
    kernel.readerOf("task_struct", "worker_private", "set_child_tid") ??
    kernel.reader("task_struct", "worker_private");
  const start = kernel.reader("kthread", "threadfn");
  const dataOf = kernel.reader("kthread", "data");
  const workerLoop = kernel.symbol("kthread_worker_fn");
  for (const task of tasks.processes(budget, problem)) {
    if (!tasks.isKernelThread(task)) continue;
    const kthread = kthreadOf(task);
    // kthreadd itself was not made by kthreadd.
    const call = kthread < 0 ? start(kthread) : 0;
    if (call === 0) continue;
    const common = { pid: tasks.pid(task), comm: tasks.comm(task) ?? "" };
    // Gone meanwhile: then what was read is somebody else's.
    if (!tasks.isListed(task)) continue;
    yield { what: "kernel thread", function: call, holder: kthread, ...common };
    if (call !== workerLoop) continue;
    for (const work of workerWorks(kernel, dataOf(kthread), budget, problem)) {
      yield { ...work, ...common };
    }
  }
}

function* workerWorks(
  kernel: Kernel,
  worker: GuestVirtual,
  budget: Budget,
  problem: Problem,
): Generator<Callback> {
  const call = kernel.reader("kthread_work", "func");
  const link = kernel.offset("kthread_work", "node");
  for (const list of ["work_list", "delayed_work_list"]) {
    const head = worker + kernel.offset("kthread_worker", list);
    for (const work of listSnapshot(kernel, head, link, budget, problem)) {
      yield { what: "work of kernel thread", function: call(work), holder: work };
    }
  }
}
