import { usageError } from "../base/errors.ts";
import { openVm } from "../vm/guest-vm.ts";
import type { Home } from "../vm/home.ts";
import { withVm } from "../vm/vm-lock.ts";
import { openConfig } from "../vm/vm-state.ts";
import type { VmRun } from "../vm/vm-state.ts";
import { controlGuest, lockGuest, monitorOf } from "./guest-control.ts";
import { runJob } from "./job.ts";
import { putBack } from "./put-back.ts";
import { nobody } from "./restore.ts";
import { copyState, finishState, machineTypeOf, mustBeSaveable } from "./save-state.ts";
import { findState, openState, removeState, stateNames, stateUsage } from "./saved-state.ts";
import type { SavedState } from "./saved-state.ts";

/** A snapshot that was made, and what it cost the guest. */
export type Snapshot = {
  readonly job: string;
  readonly state: SavedState;
  /** 0 where the guest stood still already. */
  readonly pauseMs: number;
};

/** A saved state as the list tells it. */
export type SnapshotEntry = {
  readonly name: string;
  readonly state: SavedState | undefined;
  /** Why it cannot be used. */
  readonly fault: string | undefined;
  /** Bytes on the disk. */
  readonly size: number;
};

/**
 * Saves a VM as it is at this moment, running or not: RAM, devices and disk. A guest that runs
 * stands still for as long as a capture's does. Throws KVMSEC_SNAPSHOT_EXISTS.
 */
export async function createSnapshot(home: Home, vm: string, name: string): Promise<Snapshot> {
  const guest = controlGuest(home, vm);
  const saveable = mustBeSaveable(guest);
  if (stateNames(home, saveable.name).includes(name)) throw exists(saveable.name, name);
  using held = new DisposableStack();
  held.use(await lockGuest(home, guest, `snapshot create ${vm} ${name}`));
  return await runJob(
    home,
    "snapshot",
    guest,
    async (job) => {
      using monitor = await monitorOf(guest);
      const machineType = await machineTypeOf(monitor);
      const { running } = await monitor.execute("query-status");
      const { folder, copied } = await copyState(home, guest, monitor, name, job);
      const facts = { name, kind: "snapshot" as const, machineType, running };
      const state = await finishState(home, saveable, folder, facts);
      return { job: job.id, state, pauseMs: copied.pauseMs };
    },
    { vm: saveable.name, name },
  );
}

/** Every saved state of a VM: snapshots, and clean states too. */
export function listSnapshots(home: Home, vm: string): SnapshotEntry[] {
  const config = openConfig(home, vm);
  return stateNames(home, vm).map((name) => {
    const size = stateUsage(home, vm, name);
    try {
      return { name, state: findState(home, config, name), fault: undefined, size };
    } catch (error) {
      const fault = error instanceof Error ? error.message : String(error);
      return { name, state: undefined, fault, size };
    }
  });
}

/**
 * Puts a VM back to a saved state: its guest of now is ended and lost. It runs on from that moment,
 * or stands still if it did then. Nothing is said about whether it is clean: `restore` does that.
 * Throws KVMSEC_STATE_MISSING, KVMSEC_STATE_UNVERIFIED.
 */
export async function restoreSnapshot(
  home: Home,
  vm: string,
  name: string,
  onStage: (text: string) => void = () => {},
): Promise<{ job: string; run: VmRun; downMs: number }> {
  const { run: former, config } = openVm(vm, home);
  openState(home, config, name);
  const target = { text: vm, identity: former ?? nobody };
  using held = new DisposableStack();
  if (former !== undefined) held.use(await lockGuest(home, target, `snapshot restore ${vm}`));
  return await runJob(
    home,
    "snapshot-restore",
    target,
    (job) =>
      withVm(home, vm, `snapshot restore ${vm} ${name}`, async (now, paths) => {
        const state = openState(home, now, name);
        const how = { state, linked: true, running: state.running, onStage };
        const { run, monitor, downMs } = await putBack(home, now, paths, job, how);
        monitor.close();
        return { job: job.id, run, downMs };
      }),
    { vm, name },
  );
}

/** Removes a saved state. Throws KVMSEC_STATE_MISSING. */
export async function deleteSnapshot(home: Home, vm: string, name: string): Promise<void> {
  const config = openConfig(home, vm);
  if (!stateNames(home, vm).includes(name)) openState(home, config, name);
  await runJob(
    home,
    "snapshot-delete",
    { text: vm, identity: openVm(vm, home).run ?? nobody },
    () =>
      withVm(home, vm, `snapshot delete ${vm} ${name}`, async () => removeState(home, vm, name)),
    { vm, name },
  );
}

function exists(vm: string, name: string) {
  return usageError(
    "KVMSEC_SNAPSHOT_EXISTS",
    `${vm} has a saved state ${name} already.`,
    `Choose another name, or delete it: kvmsec snapshot delete ${vm} ${name}`,
  );
}
