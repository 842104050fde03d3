import { hostname, release } from "node:os";
import type { QmpConnection } from "../qmp/connection.ts";
import { processArguments } from "../vm/process-identity.ts";
import type { ControlledGuest } from "./guest-control.ts";

/** What the package says of the guest's surroundings: host, QEMU, and how the machine was made. */
export async function captureFacts(
  guest: ControlledGuest,
  monitor: QmpConnection,
): Promise<Record<string, unknown>> {
  const { major, minor, micro } = monitor.version.qemu;
  return {
    target: guest.text,
    host: { name: hostname(), kernel: release(), architecture: process.arch },
    qemu: {
      version: `${major}.${minor}.${micro}`,
      package: monitor.version.package,
      pid: guest.qemu.pid,
      startTime: guest.qemu.startTime,
      commandLine: processArguments(guest.qemu.pid) ?? [],
      machine: guest.qemu.arguments.machine,
    },
    vm: guest.vm === undefined ? null : { config: guest.vm.config, run: guest.vm.run },
    statusBefore: (await monitor.execute("query-status")).status,
  };
}
