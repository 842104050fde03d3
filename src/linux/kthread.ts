import type { GuestVirtual } from "../base/address.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { PF_KTHREAD, PF_WQ_WORKER } from "./sched.ts";

const MAX_NAME = 64;
/** WORKER_DESC_LEN (include/linux/workqueue.h). */
const MAX_DESCRIPTION = 32;
const RESCUER = "kworker/R-";

/**
 * Names of kernel threads as /proc and ps show them (proc_task_name in fs/proc/array.c), which is
 * more than the 15 bytes of `comm`: the whole name, and what a worker works at.
 */
export class KernelThreadNames {
  readonly #kernel: Kernel;
  readonly #kthread: Reader;
  readonly #data: Reader;
  readonly #fullName: Reader | undefined;
  readonly #pool: Reader;
  readonly #description: Reader;
  readonly #work: Reader;
  readonly #rescues: Reader;
  readonly #queueName: Reader;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    // struct kthread moved to a pointer of its own in 5.17.
    this.#kthread =
      kernel.readerOf("task_struct", "worker_private", "set_child_tid") ??
      kernel.reader("task_struct", "worker_private");
    this.#data = kernel.reader("kthread", "data");
    this.#fullName = kernel.readerOf("kthread", "full_name");
    this.#pool = kernel.reader("worker", "pool");
    this.#description = kernel.reader("worker", "desc");
    this.#work = kernel.reader("worker", "current_work");
    this.#rescues = kernel.reader("worker", "rescue_wq");
    this.#queueName = kernel.reader("workqueue_struct", "name");
  }

  /** `kworker/0:1-events`, `rcu_tasks_kthread`; `comm` for what is no kernel thread. */
  name(task: GuestVirtual, flags: number, comm: string): string {
    if ((flags & PF_KTHREAD) === 0) return comm;
    const kthread = this.#kthread(task);
    if (!(kthread < 0)) return comm;
    if ((flags & PF_WQ_WORKER) !== 0) return this.#workerName(this.#data(kthread), comm);
    const full = this.#fullName?.(kthread) ?? 0;
    return full < 0 ? (this.#kernel.space.string(full, MAX_NAME) ?? comm) : comm;
  }

  /** wq_worker_comm (kernel/workqueue.c). */
  #workerName(worker: GuestVirtual, comm: string): string {
    const { space } = this.#kernel;
    const queue = this.#rescues(worker);
    const rescues = queue < 0 && comm.startsWith(RESCUER);
    const own = rescues ? (space.string(this.#queueName(queue), MAX_NAME) ?? "") : "";
    const base = rescues ? RESCUER + own : comm;
    if (!(this.#pool(worker) < 0)) return base;
    const description = space.string(this.#description(worker), MAX_DESCRIPTION) ?? "";
    if (description === "") return base;
    return `${base}${this.#work(worker) === 0 ? "-" : "+"}${description}`;
  }
}
