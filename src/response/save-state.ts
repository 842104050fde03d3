import { closeSync, ftruncateSync, openSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { KvmsecError, usageError } from "../base/errors.ts";
import type { QmpConnection } from "../qmp/connection.ts";
import type { GuestVm } from "../vm/guest-vm.ts";
import type { Home } from "../vm/home.ts";
import type { VmRun } from "../vm/vm-state.ts";
import { GuestCopy } from "./guest-copy.ts";
import type { CopyResult } from "./guest-copy.ts";
import type { ControlledGuest } from "./guest-control.ts";
import type { Job } from "./job.ts";
import { newStateFolder, placeState, removePartialState } from "./saved-state.ts";
import type { SavedState, StateFacts } from "./saved-state.ts";

/** A VM of this home that runs, and whose RAM can be saved. */
export type SaveableVm = GuestVm & { readonly run: VmRun };

/** Throws KVMSEC_VM_MISSING, KVMSEC_VM_RAM where its state cannot be saved. */
export function mustBeSaveable({ vm, text }: ControlledGuest): SaveableVm {
  if (vm?.run === undefined) {
    throw usageError("KVMSEC_VM_MISSING", `${text} is no VM of this home.`);
  }
  if (vm.ram.kind === "anonymous") {
    throw usageError(
      "KVMSEC_VM_RAM",
      `The RAM of ${vm.name} is private to QEMU and cannot be saved.`,
      "Make the VM with --ram memfd.",
    );
  }
  return { ...vm, run: vm.run };
}

/**
 * Copies a VM's RAM, devices and disk into the folder of a state that is being made. What fails
 * leaves no folder behind.
 */
export async function copyState(
  home: Home,
  guest: ControlledGuest,
  monitor: QmpConnection,
  name: string,
  job: Job,
): Promise<{ folder: string; copied: CopyResult }> {
  const { vm } = guest;
  if (vm === undefined) throw new Error("only VMs of this home have states");
  const folder = newStateFolder(home, vm.name, name);
  try {
    return { folder, copied: await copyInto(guest, monitor, folder, job) };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Signs what was copied, and gives it its name. */
export async function finishState(
  home: Home,
  { config, run }: SaveableVm,
  folder: string,
  facts: Pick<StateFacts, "name" | "kind" | "machineType" | "running">,
): Promise<SavedState> {
  try {
    const { accelerator } = run;
    return await placeState(home, folder, { ...facts, config, accelerator });
  } catch (error) {
    removePartialState(home, config.name, facts.name);
    throw error;
  }
}

async function copyInto(
  guest: ControlledGuest,
  monitor: QmpConnection,
  folder: string,
  job: Job,
): Promise<CopyResult> {
  using copy = await GuestCopy.open(guest);
  const fd = openSync(join(folder, "ram.img"), "wx", 0o400);
  try {
    ftruncateSync(fd, copy.size);
    const copied = await copy.take(monitor, folder, { fd, ramAt: 0 }, job);
    const [disk] = copied.disks;
    if (disk === undefined || copied.disks.length > 1) throw new Error("a VM has one disk");
    renameSync(join(folder, disk.file), join(folder, "disk.qcow2"));
    return copied;
  } finally {
    closeSync(fd);
  }
}

/** The machine's full name (`pc-q35-7.2`), as QEMU's object tree has it (`…-machine`). */
export async function machineTypeOf(monitor: QmpConnection): Promise<string> {
  const type = await monitor.execute("qom-get", { path: "/machine", property: "type" });
  if (typeof type === "string" && type.endsWith("-machine")) return type.slice(0, -8);
  throw new KvmsecError("KVMSEC_DEVICE_STATE", "QEMU does not tell what machine it is.");
}
