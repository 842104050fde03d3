import { WatchedGuest } from "./library/watched-guest.ts";
import { attach as attachGuest } from "./vm/guest.ts";
import type { AttachOptions } from "./vm/guest.ts";

/**
 * Attaches to a guest: a name, `pid:1234`, `qmp:PATH`, `libvirt:DOMAIN`, or `file:DUMP`.
 * Throws a KvmsecError whose `code` and `hint` say what is wrong and what to do.
 */
export async function attach(target: string, options?: AttachOptions): Promise<WatchedGuest> {
  return new WatchedGuest(await attachGuest(target, options));
}

export { WatchedGuest } from "./library/watched-guest.ts";
export type { RowsOptions } from "./library/watched-guest.ts";
export { KvmsecError } from "./base/errors.ts";
export { loadTypeFile } from "./vm/type-file.ts";
export { loadSymbolFile } from "./vm/symbol-file.ts";
export {
  createVm,
  deleteVm,
  dropPackets,
  keepPackets,
  listVms,
  openVm,
  startVm,
  stopVm,
  vmState,
} from "./vm/guest-vm.ts";
export { connectQmp } from "./qmp/connection.ts";
export { runJob } from "./qmp/jobs.ts";
export { listQemuProcesses } from "./vm/qemu-process.ts";
export { watchability } from "./vm/watchability.ts";
export { checks } from "./checks/registry.ts";
export type { AttachOptions } from "./vm/guest.ts";
export type { GuestVm, VmState } from "./vm/guest-vm.ts";
export type { QmpConnection } from "./qmp/connection.ts";
export type { JobOptions } from "./qmp/jobs.ts";
export type { Check } from "./checks/check.ts";
export type { Finding } from "./checks/finding.ts";
export type { Sweep } from "./checks/sweep.ts";
export type { Info } from "./views/info.ts";
export type { View } from "./views/view.ts";
export * from "./views/index.ts";
