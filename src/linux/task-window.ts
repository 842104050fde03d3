import type { GuestVirtual } from "../base/address.ts";
import { FAULT } from "../base/address.ts";
import { TASK_COMM_LEN, commTable } from "./comm.ts";
import type { Kernel } from "./kernel.ts";
import { RESIDENT } from "./mm.ts";
import type { Field } from "./struct-window.ts";
import { StructWindow } from "./struct-window.ts";
import type { ThreadTotal } from "./thread-totals.ts";

/** Members of a task that change or go when it ends, executes, or is used anew. */
export type TaskIdentity = Readonly<
  Record<"pid" | "parent" | "mm" | "realCred" | "signal", number>
>;

/** A fast reader of one `task_struct` after another. */
export class TaskWindow {
  readonly fields: ReturnType<typeof taskFields>;
  readonly #window: StructWindow;
  readonly #kernel: Kernel;
  readonly #comm: number;
  readonly #ownPages: readonly Field[];

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#window = new StructWindow(kernel, "task_struct");
    this.fields = taskFields(this.#window);
    this.#ownPages = RESIDENT.flatMap(
      (counter) => this.#window.fieldOf(`rss_stat.count[${counter}]`) ?? [],
    );
    this.#comm = kernel.offset("task_struct", "comm");
  }

  /** The task that the window lies on. */
  get address(): GuestVirtual {
    return this.#window.address;
  }

  /** Lays the window on a task; false where it cannot be read. */
  load(task: GuestVirtual): boolean {
    return this.#window.load(task);
  }

  /** What a task loses or changes on its way out; where all of it stays, so does the rest. */
  identity(): TaskIdentity {
    const { pid, parent, mm, realCred, signal } = this.fields;
    return {
      pid: pid(),
      parent: parent(),
      mm: mm(),
      realCred: realCred(),
      signal: signal(),
    };
  }

  /** Whether the task that the window lies on now is the one of that identity. */
  isStill({ pid, parent, mm, realCred, signal }: TaskIdentity): boolean {
    const { fields } = this;
    return (
      fields.pid() === pid &&
      fields.parent() === parent &&
      fields.mm() === mm &&
      fields.realCred() === realCred &&
      fields.signal() === signal
    );
  }

  /** What a process of one thread has in all. */
  ownTotal(): ThreadTotal {
    let pages = 0;
    for (const own of this.#ownPages) pages += own();
    return { runtime: this.fields.runtime(), pages };
  }

  /** Its name. */
  comm(): string {
    const window = this.#window;
    const at = this.#comm;
    if (at % 4 !== 0) {
      return this.#kernel.space.string(window.address + at, TASK_COMM_LEN) ?? "";
    }
    return commTable.text(
      window.word(at),
      window.word(at + 4),
      window.word(at + 8),
      window.word(at + 12),
    );
  }
}

const absent: Field = () => FAULT;

function taskFields(window: StructWindow) {
  const field = (path: string): Field => window.field(path);
  return {
    pid: field("pid"),
    tgid: field("tgid"),
    parent: field("real_parent"),
    flags: field("flags"),
    // `state` became `__state` in 5.14.
    state: window.fieldOf("__state", "state") ?? absent,
    exitState: field("exit_state"),
    mm: field("mm"),
    realCred: field("real_cred"),
    signal: field("signal"),
    nsproxy: field("nsproxy"),
    // Since 7.3 `fs` may be borrowed for a moment, as `cred` is.
    fs: window.fieldOf("real_fs", "fs") ?? absent,
    startBoottime: field("start_boottime"),
    staticPriority: field("static_prio"),
    priority: field("prio"),
    policy: field("policy"),
    runtime: field("se.sum_exec_runtime"),
    ptrace: field("ptrace"),
    tracer: field("parent"),
    seccomp: window.fieldOf("seccomp.mode") ?? absent,
    atomicFlags: field("atomic_flags"),
    loginUid: window.fieldOf("loginuid.val") ?? absent,
    threadPid: field("thread_pid"),
    cssSet: window.fieldOf("cgroups") ?? absent,
  };
}
