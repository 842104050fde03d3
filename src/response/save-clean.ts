import { setTimeout as sleep } from "node:timers/promises";
import { KvmsecError } from "../base/errors.ts";
import type { QmpConnection } from "../qmp/connection.ts";
import { attach } from "../vm/guest.ts";
import type { Home } from "../vm/home.ts";
import { openImage } from "../vm/images.ts";
import { freeze, resume } from "./freeze.ts";
import { controlGuest, lockGuest, monitorOf } from "./guest-control.ts";
import type { ControlledGuest } from "./guest-control.ts";
import type { Inspect, Inspection } from "./inspection.ts";
import { runJob } from "./job.ts";
import type { Job } from "./job.ts";
import { copyState, finishState, machineTypeOf, mustBeSaveable } from "./save-state.ts";
import { DEFAULT_CLEAN } from "./saved-state.ts";
import type { SavedState } from "./saved-state.ts";

/** What a saving cost. */
export type SavedClean = { readonly state: SavedState; readonly pauseMs: number };

/**
 * Saves a running VM as it is (RAM, devices, disk), so that it can be put back within a fraction of
 * a second; a clean state of the same name is replaced. It is swept while it stands still for it:
 * only a moment that was found clean is saved.
 * Throws KVMSEC_CLEAN_STATE_DIRTY, KVMSEC_CLEAN_STATE_UNSURE.
 */
export async function saveCleanState(
  home: Home,
  vm: string,
  inspect: Inspect,
  name: string = DEFAULT_CLEAN,
): Promise<SavedClean> {
  const guest = controlGuest(home, vm);
  using held = new DisposableStack();
  held.use(await lockGuest(home, guest, `respond ${vm} save-clean`));
  return await runJob(home, "save-clean", guest, (job) => save(home, guest, name, job, inspect), {
    vm,
    name,
  });
}

async function save(
  home: Home,
  guest: ControlledGuest,
  name: string,
  job: Job,
  inspect: Inspect,
): Promise<SavedClean> {
  const vm = mustBeSaveable(guest);
  using monitor = await monitorOf(guest);
  const machineType = await machineTypeOf(monitor);
  const { running } = await monitor.execute("query-status");
  await job.step("stop", { wasRunning: running });
  const start = performance.now();
  let folder: string;
  try {
    await freezeClean(home, guest, monitor, vm.config.image, inspect);
    ({ folder } = await copyState(home, guest, monitor, name, job));
  } finally {
    await settleRun(monitor, running);
  }
  const pauseMs = performance.now() - start;
  const facts = { name, kind: "clean" as const, machineType, running: true };
  return { state: await finishState(home, vm, folder, facts), pauseMs };
}

/**
 * Leaves the guest frozen at a moment that a sweep calls clean. A moment may look wrong only because
 * it is one in the middle of something, such as the loading of a module, and a guest that stands
 * still shows it for ever: so what was found has to be there in the running guest too.
 */
async function freezeClean(
  home: Home,
  { text, identity }: ControlledGuest,
  monitor: QmpConnection,
  image: string,
  inspect: Inspect,
): Promise<void> {
  const { vmlinuz } = openImage(home, image);
  using looked = await attach(`pid:${identity.pid}`);
  for (let tries = 1; ; tries++) {
    await freeze(monitor);
    const still = await inspect(looked, vmlinuz);
    if (still.verdict === "clean") return;
    await resume(monitor);
    const running = await inspect(looked, vmlinuz);
    if (running.verdict !== "clean") throw notClean(text, running);
    if (tries === MAX_TRIES) throw notClean(text, still);
    await sleep(PAUSE_MS);
  }
}

const MAX_TRIES = 5;
const PAUSE_MS = 500;

function notClean(text: string, { verdict, reasons }: Inspection): KvmsecError {
  const dirty = verdict === "tampered";
  return new KvmsecError(
    dirty ? "KVMSEC_CLEAN_STATE_DIRTY" : "KVMSEC_CLEAN_STATE_UNSURE",
    `${text} is not saved as clean: ${reasons.join("; ")}`,
    {
      hint: "Only what a full sweep finds clean is saved: kvmsec check tells more.",
      exit: dirty ? 1 : 4,
    },
  );
}

/** Leaves the guest as it was found: running, or standing still. */
async function settleRun(monitor: QmpConnection, running: boolean): Promise<void> {
  if (running) await resume(monitor);
  else await freeze(monitor);
}
