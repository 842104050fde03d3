import type { GuestVirtual } from "../base/address.ts";
import type { Budget } from "../base/budget.ts";
import { Cgroups } from "./cgroup.ts";
import { GuestClock } from "./clock.ts";
import { containerOf } from "./container.ts";
import { CredentialsDecoder } from "./credentials.ts";
import type { Kernel } from "./kernel.ts";
import { KernelThreadNames } from "./kthread.ts";
import type { Reader } from "./member-reader.ts";
import { MemoryDescriptors } from "./mm.ts";
import type { MemoryUse } from "./mm.ts";
import { NamespaceDecoder } from "./namespaces.ts";
import { Paths } from "./path.ts";
import type { Process } from "./process-row.ts";
import { PointerCache } from "./pointer-cache.ts";
import { heldByGroup, selectProcesses } from "./process-selection.ts";
import type { ProcessSelection } from "./process-selection.ts";
import { PF_KTHREAD, niceOf, policyName, priorityOf, stateLetter } from "./sched.ts";
import { Signals } from "./signal.ts";
import { TaskWindow } from "./task-window.ts";
import type { TaskIdentity } from "./task-window.ts";
import { Tasks } from "./task.ts";
import { ThreadTotals } from "./thread-totals.ts";
import { UserMemory } from "./user-memory.ts";
import type { CommandLine } from "./user-memory.ts";
import { PID_MAX_LIMIT } from "./pid.ts";

export type { Process } from "./process-row.ts";

/** A number that could not be read, of memory that was there: its owner let go of it meanwhile. */
function isTorn({ rss, vsz, threads, pgid, sid }: Process): boolean {
  return Number.isNaN(rss + vsz + threads + pgid + sid);
}

const NANOSECONDS = 1_000_000;
/** `loginuid` of who has not logged in. */
const NOBODY_LOGGED_IN = 0xffff_ffff;
const NO_NEW_PRIVILEGES = 1;
/** A running guest changes a task while it is read; it does not do so every time. */
const ATTEMPTS = 4;

/** Reads processes. What repeats between them (paths, groups, credentials) is read once a list. */
export class ProcessDecoder {
  readonly tasks: Tasks;
  readonly paths: Paths;
  readonly #kernel: Kernel;
  readonly #window: TaskWindow;
  readonly #kthreads: KernelThreadNames;
  readonly #clock: GuestClock;
  readonly #memory: MemoryDescriptors;
  readonly #signals: Signals;
  readonly #credentials: CredentialsDecoder;
  readonly #namespaces: NamespaceDecoder;
  /** Undefined in a kernel without CONFIG_CGROUPS. */
  readonly #cgroups: Cgroups | undefined;
  readonly #containers = new PointerCache<{ readonly name: string | undefined }>();
  readonly #userMemory: UserMemory;
  readonly #totals: ThreadTotals;
  readonly #filePath: number;
  readonly #rootPath: number;
  readonly #cwdPath: number;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.tasks = new Tasks(kernel);
    this.paths = new Paths(kernel);
    this.#window = new TaskWindow(kernel);
    this.#kthreads = new KernelThreadNames(kernel);
    this.#clock = new GuestClock(kernel);
    this.#memory = new MemoryDescriptors(kernel);
    this.#signals = new Signals(kernel);
    this.#credentials = new CredentialsDecoder(kernel);
    this.#namespaces = new NamespaceDecoder(kernel);
    this.#cgroups = kernel.types.has("task_struct", "cgroups") ? new Cgroups(kernel) : undefined;
    this.#userMemory = new UserMemory(kernel);
    this.#totals = new ThreadTotals(kernel, this.tasks);
    this.#filePath = kernel.offset("file", "f_path");
    this.#rootPath = kernel.offset("fs_struct", "root");
    this.#cwdPath = kernel.offset("fs_struct", "pwd");
  }

  /** Every process, or those that are selected; one that ended while it was read is left out, not invented. */
  *all(
    budget: Budget,
    problem?: (reason: string) => void,
    selection: ProcessSelection = {},
  ): Generator<Process> {
    this.#forget();
    const { memory } = this.#kernel;
    const tasks = selectProcesses(this.tasks, selection, budget, problem);
    const rows = this.#unique(tasks, budget, problem);
    yield* memory.live && !memory.stable ? this.#confirmed([...rows], budget) : rows;
    for (const what of this.#leftOut()) problem?.(`${what} are more than a true guest has`);
  }

  /** Two tasks may share a pid for a moment, in an execve that takes over from its leader. */
  *#unique(
    tasks: readonly GuestVirtual[],
    budget: Budget,
    problem?: (reason: string) => void,
  ): Generator<Process> {
    const seen = new Set<number>();
    for (const task of tasks) {
      const process = this.decode(task, budget, problem);
      if (process === undefined || (seen.has(process.pid) && !this.tasks.isListed(task))) continue;
      seen.add(process.pid);
      yield process;
    }
  }

  /**
   * Of memory that is copied page by page, the rows were put together from pages of different
   * moments. A task that, at the end of it all, still has all that it had was whole throughout;
   * another is read once more by itself.
   */
  *#confirmed(rows: readonly Process[], budget: Budget): Generator<Process> {
    const identities = rows.map(({ task }) => this.#identity(task));
    this.#kernel.refresh();
    for (const [index, row] of rows.entries()) {
      const sure = this.#holds(row.task, identities[index]) ? row : this.decode(row.task, budget);
      if (sure !== undefined) yield sure;
    }
  }

  /** One leader on the task list; undefined where it has left it. */
  decode(
    task: GuestVirtual,
    budget: Budget,
    problem?: (reason: string) => void,
  ): Process | undefined {
    const { live } = this.#kernel.memory;
    let last: Process | undefined;
    for (let attempt = 0; attempt < (live ? ATTEMPTS : 1); attempt++) {
      if (attempt > 0) this.#kernel.refresh();
      if (!this.#window.load(task)) break;
      const identity = this.#window.identity();
      const process = this.#read(task, budget);
      if (attempt > 0) this.#kernel.lookAgain();
      if (live && !this.#holds(task, identity)) continue;
      if (process !== undefined && !isTorn(process)) return process;
      last = process;
    }
    if (last !== undefined || !this.tasks.isListed(task)) return last;
    problem?.(`the task at ${this.#kernel.format(task)} is on the task list but holds no process`);
    return undefined;
  }

  #identity(task: GuestVirtual): TaskIdentity {
    this.#window.load(task);
    return this.#window.identity();
  }

  #holds(task: GuestVirtual, identity: TaskIdentity): boolean {
    // On a mapped source the window shows the task as it is now; a copy has to be made anew.
    const { stable } = this.#kernel.memory;
    const shown = this.#window.address === task && stable;
    if (!shown && !this.#window.load(task)) return false;
    return this.tasks.isListed(task) && this.#window.isStill(identity);
  }

  /** What the program was called with, out of its own memory; undefined where it is not in RAM. */
  commandLine({ task, kthread }: Process, budget: Budget): CommandLine | undefined {
    if (kthread) return undefined;
    const mm = heldByGroup(this.tasks, task, this.tasks.mm, budget);
    return mm === undefined ? undefined : this.#userMemory.commandLine(mm);
  }

  /** What was left out of the rows for its sheer amount. */
  #leftOut(): string[] {
    return [
      ...(this.paths.exhausted ? ["paths"] : []),
      ...(this.#cgroups?.exhausted === true ? ["paths of control groups"] : []),
      ...(this.#userMemory.exhausted ? ["command lines"] : []),
    ];
  }

  /** What was remembered of the last list. */
  #forget(): void {
    this.paths.forget();
    this.#namespaces.forget();
    this.#cgroups?.forget();
    this.#signals.forget();
    this.#userMemory.forget();
    this.#containers.clear();
  }

  /** One reading of the task that the window lies on; undefined where it makes no sense. */
  #read(task: GuestVirtual, budget: Budget): Process | undefined {
    const { fields } = this.#window;
    const pid = fields.pid();
    const parent = fields.parent();
    const ppid = this.tasks.tgid(parent);
    const credentials = this.#credentials.decode(fields.realCred());
    if (!isPid(pid) || !isPid(ppid) || credentials.uid !== credentials.uid) return undefined;
    const flags = fields.flags();
    const kthread = (flags & PF_KTHREAD) !== 0;
    const comm = this.#window.comm();
    const signal = this.#signals.decode(fields.signal());
    const threadPid = fields.threadPid();
    const cssSet = fields.cssSet();
    const cgroup = this.#cgroups?.path(cssSet);
    const total = signal.threads > 1 ? this.#totals.read(task, budget) : this.#window.ownTotal();
    const walk = { threads: signal.threads, budget };
    const mm = kthread ? 0 : this.#shared(fields.mm(), this.tasks.mm, task, walk);
    const program = mm < 0 ? this.#memory.decode(mm, total.pages) : undefined;
    const files = this.#shared(fields.fs(), this.tasks.fs, task, walk);
    const nsproxy = this.#shared(fields.nsproxy(), this.tasks.nsproxy, task, walk);
    const loginUid = fields.loginUid();
    const process: Process = {
      pid,
      tgid: fields.tgid(),
      ppid,
      uid: credentials.uid,
      gid: credentials.gid,
      comm,
      name: this.#kthreads.name(task, flags, comm),
      state: stateLetter(fields.state(), fields.exitState()),
      kthread,
      startTime: this.#clock.date(fields.startBoottime()),
      exe: program === undefined ? undefined : this.#exe(program),
      rss: program?.rss ?? 0,
      vsz: program?.vsz ?? 0,
      cwd: files < 0 ? this.paths.text(files + this.#cwdPath) : undefined,
      root: files < 0 ? this.paths.text(files + this.#rootPath) : undefined,
      threads: signal.threads,
      pgid: signal.pgid,
      sid: signal.sid,
      tty: signal.tty,
      nice: niceOf(fields.staticPriority()),
      priority: priorityOf(fields.priority()),
      policy: policyName(fields.policy()),
      cpuTimeMs: (signal.endedRuntime + total.runtime) / NANOSECONDS,
      tracer: fields.ptrace() === 0 ? undefined : this.tasks.tgid(fields.tracer()),
      seccomp: fields.seccomp(),
      noNewPrivileges: (fields.atomicFlags() & NO_NEW_PRIVILEGES) !== 0,
      loginUid: loginUid === NOBODY_LOGGED_IN ? undefined : loginUid,
      credentials,
      namespaces: this.#namespaces.decode(nsproxy, credentials.userNamespace, threadPid),
      namespacePids: this.#namespaces.numbers(threadPid),
      cgroup,
      container: cgroup === undefined ? undefined : this.#container(cssSet, cgroup, budget),
      task,
    };
    return process;
  }

  /** A pointer that an exited leader has let go of, from a thread that lives. */
  #shared(own: GuestVirtual, member: Reader, leader: GuestVirtual, walk: GroupWalk): GuestVirtual {
    if (own < 0 || walk.threads <= 1) return own;
    return heldByGroup(this.tasks, leader, member, walk.budget) ?? own;
  }

  #exe({ exeFile }: MemoryUse): string | undefined {
    return exeFile < 0 ? this.paths.text(exeFile + this.#filePath) : undefined;
  }

  /** By the unified hierarchy, or where that is not used by those of version 1. */
  #container(cssSet: GuestVirtual, cgroup: string, budget: Budget): string | undefined {
    const known = this.#containers.get(cssSet);
    if (known !== undefined) return known.name;
    const paths = cgroup === "/" ? this.#cgroups?.paths(cssSet, budget) : [cgroup];
    const name = paths?.map(containerOf).find((each) => each !== undefined);
    return this.#containers.set(cssSet, { name }).name;
  }
}

/** What it takes to ask the other threads. */
type GroupWalk = { readonly threads: number; readonly budget: Budget };

function isPid(value: number): boolean {
  return value >= 0 && value <= PID_MAX_LIMIT;
}
