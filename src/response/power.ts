import { openVm, startVm, stopVm } from "../vm/guest-vm.ts";
import type { Home } from "../vm/home.ts";
import { isRunning } from "../vm/process-identity.ts";
import type { ProcessIdentity } from "../vm/process-identity.ts";
import { resume } from "./freeze.ts";
import { controlGuest, lockGuest, monitorOf } from "./guest-control.ts";
import type { ControlledGuest } from "./guest-control.ts";
import { runJob, steps } from "./job.ts";
import type { Job } from "./job.ts";

/** What boots a guest anew, or ends it in order. */
export type PowerAction = "restart" | "shutdown";

/** What was done. */
export type PowerChange = {
  readonly job: string;
  readonly action: PowerAction;
  /** `restarted`, `stopped`, or `asked`: another's guest does with its power button what it likes. */
  readonly outcome: "restarted" | "stopped" | "asked";
  /** The QEMU that runs now. */
  readonly pid: number | null;
};

/**
 * Boots a guest anew, on the disk that it has: a VM of kvmsec in another QEMU, another's guest by
 * its reset button. Or asks it to shut down, which a VM of kvmsec is waited for. What it had in
 * memory is lost: capture it first if it matters.
 */
export async function power(home: Home, text: string, action: PowerAction): Promise<PowerChange> {
  const guest = controlGuest(home, text);
  using held = new DisposableStack();
  held.use(await lockGuest(home, guest, `respond ${text} ${action}`));
  return await runJob(
    home,
    action,
    guest,
    (job) => (action === "restart" ? restart(home, guest, job) : shutDown(home, guest, job)),
    { vm: guest.vm?.name ?? null },
  );
}

async function restart(home: Home, guest: ControlledGuest, job: Job): Promise<PowerChange> {
  const { vm, identity } = guest;
  const done = { job: job.id, action: "restart", outcome: "restarted" } as const;
  if (vm === undefined) {
    using monitor = await monitorOf(guest);
    await job.step("reset");
    await monitor.execute("system_reset");
    const { running } = await monitor.execute("query-status");
    if (!running) await resume(monitor);
    return { ...done, pid: identity.pid };
  }
  await job.step(steps.ended);
  await stopVm(vm.name, { force: true }, home);
  await job.step("start");
  const { pid } = await startVm(vm.name, {}, home);
  await job.step(steps.back);
  return { ...done, pid };
}

async function shutDown(home: Home, guest: ControlledGuest, job: Job): Promise<PowerChange> {
  const done = { job: job.id, action: "shutdown", pid: null } as const;
  await job.step("ask");
  if (guest.vm !== undefined) {
    await stopVm(guest.vm.name, {}, home);
    return { ...done, outcome: "stopped" };
  }
  using monitor = await monitorOf(guest);
  await monitor.execute("system_powerdown");
  return { ...done, outcome: "asked" };
}

/** A VM that was ended only to be started again is started. */
export async function finishRestart(
  home: Home,
  vm: string | null,
  former: ProcessIdentity,
  done: readonly { readonly name: string }[],
): Promise<"finished" | "undone" | "gone"> {
  const began = done.some(({ name }) => name === steps.ended || name === "reset");
  if (!began) return "undone";
  if (vm === null) return isRunning(former) ? "finished" : "gone";
  if (isRunning(former)) await stopVm(vm, { force: true }, home);
  // Somebody may have started it meanwhile.
  if (openVm(vm, home).run === undefined) await startVm(vm, {}, home);
  return "finished";
}
