import { setTimeout as sleep } from "node:timers/promises";
import type { GuestVirtual } from "../base/address.ts";
import { KvmsecError } from "../base/errors.ts";
import { FatalSignal } from "../linux/fatal-signal.ts";
import type { Kernel } from "../linux/kernel.ts";
import { ProcessDecoder } from "../linux/process.ts";
import type { Process } from "../linux/process.ts";
import { Tasks } from "../linux/task.ts";
import type { Guest } from "../vm/guest.ts";
import type { Home } from "../vm/home.ts";
import { controlGuest, lockGuest, monitorOf } from "./guest-control.ts";
import { applyWrites } from "./guest-write.ts";
import { runJob } from "./job.ts";
import type { Job } from "./job.ts";
import { RamWriter } from "./ram-writer.ts";
import type { GuestWrite } from "./ram-writer.ts";
import { standingStill } from "./standing-still.ts";

/** What became of a process that was to die. */
export type ProcessEnd = {
  readonly job: string;
  readonly pid: number;
  readonly comm: string;
  readonly startTime: Date | undefined;
  /** `dead`: later looks did not find it any more, or as a zombie only; `pending`: it dies when it wakes. */
  readonly outcome: "dead" | "pending";
  /** As ps shows it, where it lives on. */
  readonly state: string | null;
  /** Why it is not dead yet. */
  readonly reason: string | null;
  /** How long the guest stood still for it. */
  readonly stoodMs: number;
};

export type KillOptions = {
  /** The process that was meant; another one under its pid is left alone. */
  readonly startTime?: Date | undefined;
  /** Leaves alone what started later: it has the pid from another. */
  readonly startedBefore?: Date | undefined;
  /** How long to look whether it dies; 5 s unless told. */
  readonly patienceMs?: number;
};

/** A guest's clock is read to a few milliseconds; a pid does not come round in a second. */
const SAME_START_MS = 1000;
/** So often a moment is waited for in which nobody works on the group's signals. */
const TRIES = 50;

/**
 * Ends a process in the guest from outside: while the guest stands still, SIGKILL is put among the
 * pending signals of each of its threads, as the kernel does it. The process dies by its own
 * kernel's hand when it next returns to user mode or wakes; that is proved by looking for it. Nobody
 * outside can wake it soundly: one that sleeps on is told as `pending`, and keeps its signal.
 * Throws KVMSEC_NO_SUCH_PROCESS, KVMSEC_KILL_REFUSED.
 */
export async function killProcess(
  home: Home,
  guest: Guest,
  pid: number,
  options: KillOptions = {},
): Promise<ProcessEnd> {
  const controlled = controlGuest(home, guest.target.text);
  const { kernel } = guest;
  using held = new DisposableStack();
  held.use(await lockGuest(home, controlled, `respond ${guest.target.text} kill-process`));
  const victim = findVictim(kernel, pid, options);
  const { comm, startTime } = victim;
  const about = { pid, comm, startTime: startTime?.toISOString() ?? null };
  return await runJob(
    home,
    "kill-process",
    controlled,
    async (job) => {
      using monitor = await monitorOf(controlled);
      using ram = new RamWriter(controlled);
      const mark = new Mark(kernel, victim, ram);
      let stoodMs = 0;
      for (let left = TRIES; ; left--) {
        const look = await standingStill(controlled, monitor, job, () => mark.tryOnce(job));
        stoodMs += look.stoodMs;
        if (look.result) return await watch(kernel, victim, job, look.wasRunning, stoodMs, options);
        if (left === 1 || !look.wasRunning) throw refused(victim, "its signals are being changed");
        await sleep(3);
      }
    },
    about,
  );
}

function findVictim(
  kernel: Kernel,
  pid: number,
  { startTime, startedBefore }: KillOptions,
): Process {
  kernel.refresh();
  const decoder = new ProcessDecoder(kernel);
  const found = [...decoder.all(kernel.budget(), undefined, { pid: [pid] })][0];
  if (found === undefined) throw gone(pid);
  const otherStart =
    startTime !== undefined &&
    !(Math.abs(+startTime - +(found.startTime ?? Number.NaN)) < SAME_START_MS);
  const later =
    startedBefore !== undefined && !(+(found.startTime ?? Number.NaN) <= +startedBefore);
  if (otherStart || later) throw refused(found, "another process has its pid by now");
  if (found.kthread) throw refused(found, "it is a thread of the kernel");
  if (found.pid === 1) throw refused(found, "without it the guest's kernel panics");
  if (found.state === "Z" || found.state === "X") throw refused(found, "it is dead already");
  return found;
}

/** Puts the signal among those that wait. */
class Mark {
  readonly #kernel: Kernel;
  readonly #victim: Process;
  readonly #ram: RamWriter;
  readonly #tasks: Tasks;
  readonly #signal: FatalSignal;
  readonly #started: number;

  constructor(kernel: Kernel, victim: Process, ram: RamWriter) {
    this.#kernel = kernel;
    this.#victim = victim;
    this.#ram = ram;
    this.#tasks = new Tasks(kernel);
    this.#signal = new FatalSignal(kernel);
    this.#started = this.#tasks.startBoottime(victim.task);
  }

  /** With the guest standing still. False where this is no moment for it. */
  async tryOnce(job: Job): Promise<boolean> {
    this.#kernel.refresh();
    const { task, tgid } = this.#victim;
    const same =
      this.#tasks.isListed(task) &&
      this.#tasks.tgid(task) === tgid &&
      this.#tasks.startBoottime(task) === this.#started;
    if (!same) throw gone(this.#victim.pid);
    if (this.#signal.isDying(task)) return true;
    if (!this.#signal.isFree(task)) return false;
    const writes = this.#threads().flatMap((thread) => this.#writes(thread));
    await job.step("write", { writes });
    await applyWrites(this.#ram, writes);
    return true;
  }

  #threads(): GuestVirtual[] {
    const threads = this.#tasks.threads(this.#victim.task, this.#kernel.budget(), (reason) => {
      throw refused(this.#victim, `not all of its threads are to be seen (${reason})`);
    });
    if (threads.length === 0) throw gone(this.#victim.pid);
    return threads;
  }

  #writes(thread: GuestVirtual): GuestWrite[] {
    const edits = this.#signal.edits(thread);
    if (edits === undefined) {
      throw refused(this.#victim, "this kernel does not tell how it marks a task with a signal");
    }
    return edits.flatMap(({ address, mask }) => {
      const seen = this.#kernel.space.bytes(address, 1)?.[0];
      if (seen === undefined) throw refused(this.#victim, "its task cannot be read");
      return this.#ram.plan(this.#kernel, address, Uint8Array.of(seen | mask));
    });
  }
}

async function watch(
  kernel: Kernel,
  victim: Process,
  job: Job,
  runs: boolean,
  stoodMs: number,
  { patienceMs = 5000 }: KillOptions,
): Promise<ProcessEnd> {
  const { pid, comm, startTime } = victim;
  const told = { job: job.id, pid, comm, startTime, stoodMs };
  const deadline = Date.now() + (runs ? patienceMs : 0);
  for (;;) {
    const state = stateOf(kernel, victim);
    if (state === undefined) return { ...told, outcome: "dead", state: null, reason: null };
    if (Date.now() >= deadline) {
      await job.step("pending", { state });
      return { ...told, outcome: "pending", state, reason: reasonOf(state, runs) };
    }
    await sleep(20);
  }
}

/** The state of that very process; undefined where it is dead. */
function stateOf(kernel: Kernel, { task, tgid, pid }: Process): string | undefined {
  kernel.refresh();
  const tasks = new Tasks(kernel);
  let whole = true;
  const processes = tasks.processes(kernel.budget(), () => (whole = false));
  // Who is not in a list that was not read to its end may live.
  const listed = (processes.includes(task) || !whole) && tasks.tgid(task) === tgid;
  const state = listed && tasks.pid(task) === pid ? tasks.state(task) : "X";
  return state === "Z" || state === "X" ? undefined : state;
}

function reasonOf(state: string, runs: boolean): string {
  if (!runs) return "the guest stands still";
  if (state === "D") return "it sleeps uninterruptibly, and dies when that ends";
  if (state === "T" || state === "t") return "it is stopped, and dies when it is continued";
  if (state === "R") return "it has not been on a processor since";
  return "it sleeps, and dies when something wakes it";
}

function gone(pid: number): KvmsecError {
  return new KvmsecError("KVMSEC_NO_SUCH_PROCESS", `The guest has no process ${pid} any more.`, {
    hint: "kvmsec ps lists the processes of the guest.",
    exit: 2,
  });
}

function refused({ pid, comm }: Process, why: string): KvmsecError {
  return new KvmsecError("KVMSEC_KILL_REFUSED", `Process ${pid} (${comm}) is left alone: ${why}.`, {
    hint: "Freeze, capture or restore the guest instead.",
  });
}
