import type { GuestVirtual } from "../base/address.ts";
import { GuestClock } from "./clock.ts";
import type { Kernel } from "./kernel.ts";
import { KernelThreadNames } from "./kthread.ts";
import type { Reader } from "./member-reader.ts";
import { niceOf, policyName, priorityOf } from "./sched.ts";
import type { Tasks } from "./task.ts";

/** One thread, as `kvmsec threads` shows it. */
export type Thread = {
  readonly tid: number;
  readonly tgid: number;
  readonly comm: string;
  /** As ps shows it: a kernel thread's whole name and what it works at, else `comm`. */
  readonly name: string;
  readonly state: string;
  readonly kthread: boolean;
  /** The processor that it runs on or ran on last. */
  readonly cpu: number;
  /** It runs at this moment. */
  readonly running: boolean;
  readonly nice: number;
  /** As field 18 of /proc/PID/stat: 20 + nice, or below 0 for real time. */
  readonly priority: number;
  readonly policy: string;
  readonly startTime: Date | undefined;
  /** Processor time used so far, in milliseconds. */
  readonly cpuTimeMs: number;
  /** Lowest address of the kernel stack. */
  readonly stack: GuestVirtual;
  /** Kernel stack pointer of when it last left its processor. */
  readonly stackPointer: GuestVirtual;
  /** Its task_struct. */
  readonly task: GuestVirtual;
};

const NANOSECONDS = 1_000_000;

/** Reads what belongs to one thread. */
export class ThreadDecoder {
  readonly tasks: Tasks;
  readonly #kthreads: KernelThreadNames;
  readonly #clock: GuestClock;
  readonly #cpu: Reader;
  readonly #running: Reader;
  readonly #staticPriority: Reader;
  readonly #priority: Reader;
  readonly #policy: Reader;
  readonly #runtime: Reader;
  readonly #stack: Reader;
  readonly #stackPointer: Reader;

  constructor(kernel: Kernel, tasks: Tasks, clock: GuestClock = new GuestClock(kernel)) {
    const field = (path: string): Reader => kernel.reader("task_struct", path);
    this.tasks = tasks;
    this.#kthreads = new KernelThreadNames(kernel);
    this.#clock = clock;
    // The processor moved from task_struct to thread_info in 5.16. A kernel for one processor
    // (without CONFIG_SMP) has neither member, nor `on_cpu`.
    this.#cpu = kernel.readerOf("task_struct", "thread_info.cpu", "cpu") ?? (() => 0);
    this.#running = kernel.readerOf("task_struct", "on_cpu") ?? currentOnly(kernel);
    this.#staticPriority = field("static_prio");
    this.#priority = field("prio");
    this.#policy = field("policy");
    this.#runtime = field("se.sum_exec_runtime");
    this.#stack = field("stack");
    // Its C type is unsigned long, which would not be read as an address.
    const pointer = kernel.offset("task_struct", "thread.sp");
    this.#stackPointer = (task) => kernel.space.pointer(task + pointer);
  }

  /** One thread, or undefined where the memory at `task` does not hold one (any more). */
  decode(task: GuestVirtual): Thread | undefined {
    const { tasks } = this;
    const tid = tasks.pid(task);
    const tgid = tasks.tgid(task);
    const comm = tasks.comm(task);
    if (comm === undefined || tid !== tid || tgid !== tgid) return undefined;
    return {
      tid,
      tgid,
      comm,
      name: this.#kthreads.name(task, tasks.flags(task), comm),
      state: tasks.state(task),
      kthread: tasks.isKernelThread(task),
      cpu: this.#cpu(task),
      running: this.#running(task) === 1,
      nice: niceOf(this.#staticPriority(task)),
      priority: priorityOf(this.#priority(task)),
      policy: policyName(this.#policy(task)),
      startTime: this.#clock.date(tasks.startBoottime(task)),
      cpuTimeMs: this.#runtime(task) / NANOSECONDS,
      stack: this.#stack(task),
      stackPointer: this.#stackPointer(task),
      task,
    };
  }
}

/** What `on_cpu` would say where there is one processor: 1 for the task that runs. */
function currentOnly(kernel: Kernel): Reader {
  const current = kernel.reader("rq", "curr");
  const queue = kernel.symbol("runqueues");
  return (task) => (current(queue) === task ? 1 : 0);
}
