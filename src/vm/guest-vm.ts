import { statSync } from "node:fs";
import { connectQmp } from "../qmp/connection.ts";
import type { RunState } from "../qmp/generated.ts";
import { openHome, readEach } from "./home.ts";
import type { Damage, Home } from "./home.ts";
import { packetSummary } from "./packet-files.ts";
import type { PacketSummary } from "./packet-files.ts";
import { findConfig, findRun, openConfig, vmNames, vmPaths } from "./vm-state.ts";
import type { RamBacking, VmConfig, VmRun } from "./vm-state.ts";

export { createVm, deleteVm } from "./vm-create.ts";
export { startVm } from "./vm-start.ts";
export { stopVm } from "./vm-stop.ts";
export { dropPackets, keepPackets } from "./packet-switch.ts";

/** A VM that kvmsec made, as it is at the moment of asking. */
export type GuestVm = {
  readonly name: string;
  readonly config: VmConfig;
  /** Its QEMU (pid and start time), or undefined where it does not run. */
  readonly run: VmRun | undefined;
  /** QMP for a monitor that stays, QMP for one command at a time, and the serial console; each serves one client. */
  readonly sockets: {
    readonly monitor: string;
    readonly operator: string;
    readonly console: string;
  };
  readonly ram: {
    readonly kind: RamBacking;
    readonly size: number;
    /** The file behind it, where it has a name. */
    readonly path: string | undefined;
  };
  readonly disk: string;
  /** Whether its packets are kept, and what there is of them. */
  readonly packets: PacketSummary;
  readonly log: string;
};

/**
 * All VMs of this home, by name. A home that was never used has none. One whose documents are damaged
 * is told to `damage`, or thrown.
 */
export function listVms(home: Home = openHome(), damage?: Damage): GuestVm[] {
  const read = (name: string): GuestVm | undefined => {
    const config = findConfig(home, name);
    return config === undefined ? undefined : describe(home, config);
  };
  return readEach(vmNames(home), read, damage);
}

/** The VM of that name; throws KVMSEC_VM_MISSING. */
export function openVm(name: string, home: Home = openHome()): GuestVm {
  return describe(home, openConfig(home, name));
}

function describe(home: Home, config: VmConfig): GuestVm {
  const paths = vmPaths(home, config.name);
  const { monitor, operator, console, disk, log } = paths;
  const run = findRun(home, config);
  return {
    name: config.name,
    config,
    run,
    sockets: { monitor, operator, console },
    ram: { kind: config.ram, size: config.memoryBytes, path: run?.ramPath },
    disk,
    packets: packetSummary(config, paths, run),
    log,
  };
}

/** `stopped`, QEMU's own word for how the guest is, or `unresponsive` where its monitor does not answer. */
export type VmState = RunState | "stopped" | "unresponsive";

/** How the guest is, asked of its QEMU. */
export async function vmState(vm: GuestVm, timeoutMs = 1000): Promise<VmState> {
  if (vm.run === undefined) return "stopped";
  try {
    using connection = await connectQmp(vm.sockets.operator, { timeoutMs });
    return (await connection.execute("query-status")).status;
  } catch {
    return "unresponsive";
  }
}

/** Bytes that the VM's own disk takes on the host. */
export function diskUsage(vm: GuestVm): number {
  return (statSync(vm.disk, { throwIfNoEntry: false })?.blocks ?? 0) * 512;
}
