import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { Cgroups, containerOf } from "./cgroup.ts";
import { GuestClock } from "./clock.ts";
import { CredentialsDecoder } from "./credentials.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";
import { NamespaceDecoder } from "./namespaces.ts";
import type { Namespaces } from "./namespaces.ts";
import { Paths } from "./path.ts";
import { Tasks } from "./task.ts";
import { UserMemory } from "./user-memory.ts";

/** One process, as `kvmsec ps` shows it. Undefined where the guest's memory did not tell. */
export type Process = {
  readonly pid: number;
  readonly tgid: number;
  readonly ppid: number;
  readonly uid: number;
  readonly gid: number;
  readonly comm: string;
  /** `R`, `S`, `D`, `T`, `t`, `X`, `Z`, `P`, `I`. */
  readonly state: string;
  readonly kthread: boolean;
  /** By the guest's clock. */
  readonly startTime: Date | undefined;
  readonly exe: string | undefined;
  readonly cgroup: string | undefined;
  readonly container: string | undefined;
  readonly effectiveCapabilities: bigint | undefined;
  readonly namespaces: Namespaces;
  /** Address of its task_struct. */
  readonly task: GuestVirtual;
};

/** Linux' largest pid is 2^22 (PID_MAX_LIMIT, include/linux/threads.h). */
const PID_MAX_LIMIT = 2 ** 22;

/** Reads processes. Everything that repeats between them (paths, groups) is read once. */
export class ProcessDecoder {
  readonly tasks: Tasks;
  readonly paths: Paths;
  readonly #credentials: CredentialsDecoder;
  readonly #namespaces: NamespaceDecoder;
  readonly #cgroups: Cgroups;
  readonly #clock: GuestClock;
  readonly #userMemory: UserMemory;
  readonly #exeFile: Reader;
  readonly #filePath: number;
  readonly #cssSet: Reader;
  readonly #threadPid: Reader;
  readonly #namespaceCache = new Map<string, Namespaces>();

  constructor(kernel: Kernel) {
    this.tasks = new Tasks(kernel);
    this.paths = new Paths(kernel);
    this.#credentials = new CredentialsDecoder(kernel);
    this.#namespaces = new NamespaceDecoder(kernel);
    this.#cgroups = new Cgroups(kernel);
    this.#clock = new GuestClock(kernel);
    this.#userMemory = new UserMemory(kernel);
    this.#exeFile = kernel.reader("mm_struct", "exe_file");
    this.#filePath = kernel.offset("file", "f_path");
    this.#cssSet = kernel.reader("task_struct", "cgroups");
    this.#threadPid = kernel.reader("task_struct", "thread_pid");
  }

  /** Every process; a task that vanished or changed while it was read is left out, not invented. */
  *all(budget: Budget, problem?: (reason: string) => void): Generator<Process> {
    for (const task of this.tasks.processes(budget, problem)) {
      const process = this.decode(task);
      if (process !== undefined) yield process;
    }
  }

  /** One task, or undefined where the memory at `task` does not hold one (any more). */
  decode(task: GuestVirtual): Process | undefined {
    const { tasks } = this;
    const pid = tasks.pid(task);
    const comm = tasks.comm(task);
    const cred = tasks.realCred(task);
    if (!(pid >= 0 && pid <= PID_MAX_LIMIT) || comm === undefined) return undefined;
    const cgroup = this.#cgroups.path(this.#cssSet(task));
    const process: Process = {
      pid,
      tgid: tasks.tgid(task),
      ppid: tasks.tgid(tasks.parent(task)),
      uid: this.#credentials.uid(cred),
      gid: this.#credentials.gid(cred),
      comm,
      state: tasks.state(task),
      kthread: tasks.isKernelThread(task),
      startTime: this.#clock.date(tasks.startBoottime(task)),
      exe: this.executable(task),
      cgroup,
      container: cgroup === undefined ? undefined : containerOf(cgroup),
      effectiveCapabilities: this.#credentials.effective(cred),
      namespaces: this.#namespacesOf(task, cred),
      task,
    };
    // Freed and used again in between: the row would mix two tasks.
    return tasks.pid(task) === pid && process.ppid === process.ppid ? process : undefined;
  }

  /** Path of the program that the task runs; undefined for a kernel thread. */
  executable(task: GuestVirtual): string | undefined {
    const mm = this.tasks.mm(task);
    if (mm === 0 || mm !== mm) return undefined;
    const file = this.#exeFile(mm);
    return file === 0 || file !== file ? undefined : this.paths.text(file + this.#filePath);
  }

  /** The argument vector, out of the process's own memory; undefined where it is not in RAM. */
  commandLine(task: GuestVirtual): string[] | undefined {
    return this.#userMemory.argumentsOf(this.tasks.mm(task));
  }

  #namespacesOf(task: GuestVirtual, cred: GuestVirtual): Namespaces {
    const nsproxy = this.tasks.nsproxy(task);
    const user = this.#credentials.userNamespace(cred);
    const pid = this.#threadPid(task);
    const key = `${nsproxy}/${user}/${this.#namespaces.pidNamespace(pid)}`;
    let namespaces = this.#namespaceCache.get(key);
    if (namespaces === undefined) {
      namespaces = this.#namespaces.decode(nsproxy, user, pid);
      this.#namespaceCache.set(key, namespaces);
    }
    return namespaces;
  }
}
