import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import type { Kernel } from "./kernel.ts";
import { physicalSize } from "../memory/physical-memory.ts";
import { TASK_COMM_LEN } from "./comm.ts";
import { isLinked, listSnapshot } from "./list-snapshot.ts";
import { PF_KTHREAD, stateLetter } from "./sched.ts";

/** THREAD_SIZE without KASAN (arch/x86/include/asm/page_64_types.h). */
const KERNEL_STACK = 16_384;

/** Decodes `struct task_struct` (include/linux/sched.h). */
export class Tasks {
  readonly kernel: Kernel;
  readonly pid: Field;
  readonly tgid: Field;
  readonly flags: Field;
  readonly mm: Field;
  readonly cred: Field;
  readonly realCred: Field;
  readonly parent: Field;
  readonly groupLeader: Field;
  readonly signal: Field;
  readonly nsproxy: Field;
  readonly files: Field;
  readonly fs: Field;
  readonly startBoottime: Field;
  readonly #comm: Field;
  readonly #state: Field;
  readonly #exitState: Field;
  readonly #taskSize: number;
  readonly #tasksLink: number;
  readonly #threadHead: number;
  readonly #threadNode: number;
  readonly #threadCount: Field;

  constructor(kernel: Kernel) {
    const field = (path: string): Field => kernel.reader("task_struct", path);
    this.kernel = kernel;
    this.pid = field("pid");
    this.tgid = field("tgid");
    this.flags = field("flags");
    this.mm = field("mm");
    this.cred = field("cred");
    this.realCred = field("real_cred");
    this.parent = field("real_parent");
    this.groupLeader = field("group_leader");
    this.signal = field("signal");
    this.nsproxy = field("nsproxy");
    this.files = field("files");
    // Since 7.3 `fs` may be borrowed for a moment, as `cred` is.
    this.fs = kernel.readerOf("task_struct", "real_fs", "fs") ?? field("fs");
    this.startBoottime = field("start_boottime");
    this.#comm = field("comm");
    // `state` became `__state` in 5.14.
    this.#state = kernel.readerOf("task_struct", "__state", "state") ?? field("__state");
    this.#exitState = field("exit_state");
    this.#taskSize = kernel.types.size("task_struct") + KERNEL_STACK;
    this.#tasksLink = kernel.offset("task_struct", "tasks");
    this.#threadHead = kernel.offset("signal_struct", "thread_head");
    this.#threadNode = kernel.offset("task_struct", "thread_node");
    this.#threadCount = kernel.reader("signal_struct", "nr_threads");
  }

  /**
   * Every thread-group leader on the task list at one moment, `swapper` (pid 0) left out. A list
   * of more tasks than the guest's memory has room for is forged, and cut there.
   */
  processes(budget: Budget, problem?: (reason: string) => void): GuestVirtual[] {
    const head = this.kernel.requireSymbol("init_task") + this.#tasksLink;
    const tasks = listSnapshot(this.kernel, head, this.#tasksLink, budget, problem);
    const most = Math.ceil(physicalSize(this.kernel.memory) / this.#taskSize);
    if (tasks.length <= most) return tasks;
    problem?.(`the task list has ${tasks.length} tasks, but memory has room for ${most}`);
    return tasks.slice(0, most);
  }

  /**
   * Every thread of the process, its leader first. Where the list is damaged because the process
   * has just ended, that is no problem but the end of its threads.
   */
  threads(
    leader: GuestVirtual,
    budget: Budget,
    problem?: (reason: string) => void,
  ): GuestVirtual[] {
    const head = this.signal(leader) + this.#threadHead;
    const faults: string[] = [];
    const note = (reason: string): number => faults.push(reason);
    const threads = listSnapshot(this.kernel, head, this.#threadNode, budget, note);
    if (faults.length === 0) return threads;
    if (!this.isListed(leader)) return [];
    for (const fault of faults) problem?.(fault);
    return threads;
  }

  /** Threads of the group, an exited leader among them. */
  threadCount(task: GuestVirtual): number {
    return this.#threadCount(this.signal(task));
  }

  /**
   * Whether a leader is on the task list now; else it has exited and its memory may be another's.
   * Its own leader it has to be as well: something else that lies there may be on a list too.
   */
  isListed(leader: GuestVirtual): boolean {
    return this.groupLeader(leader) === leader && isLinked(this.kernel, leader + this.#tasksLink);
  }

  /** Whether a thread is in its group now. */
  isThreadListed(thread: GuestVirtual): boolean {
    return isLinked(this.kernel, thread + this.#threadNode);
  }

  /** `comm` as UTF-8, up to 15 bytes. */
  comm(task: GuestVirtual): string | undefined {
    return this.kernel.space.string(this.#comm(task), TASK_COMM_LEN);
  }

  isKernelThread(task: GuestVirtual): boolean {
    return (this.flags(task) & PF_KTHREAD) !== 0;
  }

  /** The letter that `ps` shows. */
  state(task: GuestVirtual): string {
    return stateLetter(this.#state(task), this.#exitState(task));
  }
}

type Field = (task: GuestVirtual) => number;
