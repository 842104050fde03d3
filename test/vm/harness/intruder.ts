import { readFileSync } from "node:fs";
import type { GuestVirtual } from "../../../src/base/address.ts";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { Tasks } from "../../../src/linux/task.ts";
import type { Guest } from "./guest.ts";
import { helperProgram } from "./helper-program.ts";

const PROGRAM = "/usr/sbin/intruder";

/** One scenario of intruder.c that runs in a guest. */
export type Intruder = {
  readonly pid: number;
  readonly task: GuestVirtual;
  /** Kills it and what it started, and waits until they are gone. */
  readonly end: () => Promise<unknown>;
};

/** Puts the program of scenarios into a guest; once a guest. */
export async function installIntruder(guest: Guest): Promise<void> {
  await guest.put(PROGRAM, readFileSync(await helperProgram("intruder")), 0o755);
}

/**
 * Runs the program as a shell command says, which names it `"$PROGRAM"`: it does nothing but stay.
 */
export async function stayAs(guest: Guest, command: string): Promise<Omit<Intruder, "task">> {
  const script = `PROGRAM=${PROGRAM}; export SCENARIO_READY_FD=1; ${command}\n`;
  await guest.put("/run/stay", script);
  const pid = Number(await guest.run("setsid bash /run/stay >/dev/null 2>&1 </dev/null & echo $!"));
  await guest.run("sleep 0.5");
  await asleep(guest, pid);
  return { pid, end: () => endSession(guest, pid) };
}

/** Starts a scenario; `program` is how the shell finds the program. */
export async function startIntruder(
  guest: Guest,
  kernel: Kernel,
  scenario: string,
  program: string = PROGRAM,
): Promise<Intruder> {
  const told = await guest.run(`${program} ${scenario}`);
  const pid = Number(/ (\d+)$/.exec(told.trim())?.[1]);
  await asleep(guest, pid);
  return { pid, task: taskOf(kernel, pid), end: () => endSession(guest, pid) };
}

/** What runs would write its own state over what is written from outside. */
export function asleep(guest: Guest, pid: number): Promise<string> {
  return guest.run(`until grep -q "^State:.S" /proc/${pid}/status; do sleep 0.1; done`);
}

/** Each scenario leads a session of its own. */
function endSession(guest: Guest, pid: number): Promise<string> {
  return guest.run(
    `kill -9 ${pid} $(pgrep -s ${pid}) 2>/dev/null
    while pgrep -s ${pid} >/dev/null; do sleep 0.1; done`,
  );
}

/** Address of a process's task_struct. Throws where there is none. */
export function taskOf(kernel: Kernel, pid: number): GuestVirtual {
  kernel.refresh();
  const tasks = new Tasks(kernel);
  const task = tasks.processes(kernel.budget()).find((each) => tasks.pid(each) === pid);
  if (task === undefined) throw new Error(`the guest has no process ${pid}`);
  return task;
}
