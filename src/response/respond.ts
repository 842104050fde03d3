import { setTimeout as sleep } from "node:timers/promises";
import { KvmsecError } from "../base/errors.ts";
import type { QmpConnection } from "../qmp/connection.ts";
import type { Home } from "../vm/home.ts";
import { isRunning, signalProcess } from "../vm/process-identity.ts";
import { settleEnd } from "../vm/vm-end.ts";
import { vmPaths } from "../vm/vm-state.ts";
import { freeze, resume } from "./freeze.ts";
import { controlGuest, lockGuest, monitorOf } from "./guest-control.ts";
import type { ControlledGuest } from "./guest-control.ts";
import { setLinks } from "./isolate.ts";
import { runJob } from "./job.ts";
import type { Job } from "./job.ts";

/** What can be done to any running guest at one stroke, and taken back where it can be. */
export const simpleActions = ["freeze", "resume", "isolate", "rejoin", "kill"] as const;
export type SimpleAction = (typeof simpleActions)[number];

/** What was done, how long it took from the decision on, and what came of it. */
export type Response = {
  readonly job: string;
  readonly action: SimpleAction;
  readonly durationMs: number;
  readonly outcome: object;
};

/** Does one thing to a guest, journalled before it starts. */
export async function respond(home: Home, text: string, action: SimpleAction): Promise<Response> {
  const guest = controlGuest(home, text);
  using held = new DisposableStack();
  held.use(await lockGuest(home, guest, `respond ${text} ${action}`));
  const start = performance.now();
  return await runJob(home, action, guest, async (job) => {
    const outcome = await carryOut(home, guest, action, job);
    return { job: job.id, action, durationMs: performance.now() - start, outcome };
  });
}

async function carryOut(
  home: Home,
  guest: ControlledGuest,
  action: SimpleAction,
  job: Job,
): Promise<object> {
  if (action === "kill") return endGuest(home, guest);
  using monitor = await monitorOf(guest);
  const outcome = await steer(monitor, action);
  await job.step("done", { outcome });
  return outcome;
}

function steer(
  monitor: QmpConnection,
  action: Exclude<SimpleAction, "kill">,
): Promise<Readonly<Record<string, unknown>>> {
  if (action === "freeze") return freeze(monitor);
  if (action === "resume") return resume(monitor);
  return setLinks(monitor, action === "rejoin");
}

/** Ends that QEMU as pulling the plug would: its guest gets no say. */
export async function endGuest(home: Home, guest: ControlledGuest): Promise<object> {
  signalProcess(guest.identity, "SIGKILL");
  await untilGone(guest);
  // It was ordered: nothing of it needs to be kept before the VM is started again.
  if (guest.vm !== undefined) settleEnd(vmPaths(home, guest.vm.name));
  return { ended: guest.identity.pid };
}

const GONE_MS = 10_000;

async function untilGone({ identity, text }: ControlledGuest): Promise<void> {
  const deadline = Date.now() + GONE_MS;
  while (isRunning(identity)) {
    if (Date.now() > deadline) {
      throw new KvmsecError("KVMSEC_KILL_FAILED", `QEMU of ${text} cannot be ended.`, {
        hint: "It may wait for a disk that does not answer; the host's kernel log may tell.",
      });
    }
    await sleep(5);
  }
}
