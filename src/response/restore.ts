import { KvmsecError } from "../base/errors.ts";
import { openConsole, waitForLogin } from "../vm/console-link.ts";
import { attach } from "../vm/guest.ts";
import { openVm } from "../vm/guest-vm.ts";
import type { Home } from "../vm/home.ts";
import { openImage } from "../vm/images.ts";
import type { ProcessIdentity } from "../vm/process-identity.ts";
import { withVm } from "../vm/vm-lock.ts";
import type { VmConfig, VmPaths, VmRun } from "../vm/vm-state.ts";
import { capture } from "./capture.ts";
import { freeze } from "./freeze.ts";
import type { Inspect, Inspection } from "./inspection.ts";
import { lockGuest } from "./guest-control.ts";
import { setLinks } from "./isolate.ts";
import { runJob } from "./job.ts";
import { keepEnd } from "./keep-end.ts";
import type { Job } from "./job.ts";
import { putBack } from "./put-back.ts";
import { respond } from "./respond.ts";
import { DEFAULT_CLEAN, findCleanState, openState } from "./saved-state.ts";
import type { SavedState } from "./saved-state.ts";

export type RestoreOptions = {
  readonly inspect: Inspect;
  /** Where the package goes that is taken first; false: take none. */
  readonly evidence: string | false;
  /** Boot from the golden image although there is a clean state. */
  readonly cold?: boolean;
  /** Which clean state; without it the one that save-clean keeps unless told otherwise, if there is one. */
  readonly state?: string | undefined;
  readonly onStage?: ((text: string) => void) | undefined;
};

export type Restored = {
  readonly job: string;
  readonly from: "clean-state" | "golden-image";
  /** The name of the clean state. */
  readonly state: string | null;
  readonly run: VmRun;
  /** From the decision (the guest frozen, its evidence taken) to a clean guest that runs. */
  readonly runningMs: number;
  /** The part of it in which there was no guest at all. */
  readonly downMs: number;
  readonly verdict: Inspection["verdict"];
};

const BOOT_MS = 300_000;

/**
 * Puts a clean guest in the place of what a VM has become: freeze, evidence, its QEMU ended, a
 * fresh disk, and a saved clean state (or, without one, a boot from the golden image). It runs
 * without a network until a sweep has found it clean; if it is not, or nobody can tell, it is frozen.
 * Throws KVMSEC_STATE_MISSING, KVMSEC_STATE_UNVERIFIED, KVMSEC_RESTORE_UNCLEAN.
 */
export async function restore(
  home: Home,
  name: string,
  options: RestoreOptions,
): Promise<Restored> {
  const { onStage = () => {} } = options;
  const vm = openVm(name, home);
  // Before anything is done: a clean state that cannot be trusted is no reason to end a guest.
  chooseState(home, vm.config, options);
  if (vm.run !== undefined) {
    onStage("freezing");
    await respond(home, name, "freeze");
  }
  if (vm.run !== undefined && options.evidence !== false) {
    await capture(home, name, options.evidence, options);
  }
  const target = { text: name, identity: vm.run ?? nobody };
  using held = new DisposableStack();
  if (vm.run !== undefined) held.use(await lockGuest(home, target, `respond ${name} restore`));
  return await runJob(
    home,
    "restore",
    target,
    (job) =>
      withVm(home, name, `respond ${name} restore`, (config, paths) =>
        replace(home, config, paths, job, options),
      ),
    { name, cold: options.cold === true, state: options.state ?? null },
  );
}

/** In the place of a QEMU where none runs. */
export const nobody: ProcessIdentity = { pid: 0, startTime: 0, bootId: "" };

function chooseState(
  home: Home,
  config: VmConfig,
  { cold, state }: RestoreOptions,
): SavedState | undefined {
  if (cold === true) return undefined;
  if (state !== undefined) openState(home, config, state);
  return findCleanState(home, config, state ?? DEFAULT_CLEAN);
}

async function replace(
  home: Home,
  config: VmConfig,
  paths: VmPaths,
  job: Job,
  options: RestoreOptions,
): Promise<Restored> {
  const { onStage = () => {}, inspect } = options;
  const state = chooseState(home, config, options);
  // Where it ended by itself, what is left of it is the evidence.
  if (options.evidence !== false) await keepEnd(home, config, paths);
  const how = { state, linked: false, running: true, onStage };
  const { run, monitor, runningMs, downMs } = await putBack(home, config, paths, job, how);
  using held = new DisposableStack();
  held.use(monitor);
  onStage("proving it clean");
  await job.step("prove", { run });
  try {
    if (state === undefined) await untilBooted(home, config);
    const { verdict, reasons } = await look(home, run, config, inspect);
    if (verdict !== "clean") throw unclean(config.name, reasons);
  } catch (error) {
    await freeze(monitor);
    throw error;
  }
  await setLinks(monitor, true);
  const from = state === undefined ? "golden-image" : "clean-state";
  return {
    job: job.id,
    from,
    state: state?.name ?? null,
    run,
    runningMs,
    downMs,
    verdict: "clean",
  };
}

async function untilBooted(home: Home, config: VmConfig): Promise<void> {
  using link = await openConsole(openVm(config.name, home), home);
  await waitForLogin(link, config.name, BOOT_MS);
}

async function look(
  home: Home,
  run: VmRun,
  config: VmConfig,
  inspect: Inspect,
): Promise<Inspection> {
  using guest = await attach(`pid:${run.pid}`);
  return await inspect(guest, openImage(home, config.image).vmlinuz);
}

function unclean(name: string, reasons: readonly string[]): KvmsecError {
  return new KvmsecError(
    "KVMSEC_RESTORE_UNCLEAN",
    `${name} was restored, but the sweep does not call it clean: ${reasons.join("; ")}`,
    {
      hint: `It is frozen and has no network. Restore it from its golden image: kvmsec respond ${name} restore --cold`,
      exit: 1,
    },
  );
}
