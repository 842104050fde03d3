import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseVcpuStates } from "../formats/vcpu-state.ts";
import { connectQmp } from "../qmp/connection.ts";
import type { QmpConnection } from "../qmp/connection.ts";
import type { Guest } from "../vm/guest.ts";
import { monitorFor } from "../vm/monitor-choice.ts";
import type { QemuProcess } from "../vm/qemu-process.ts";
import type { ProcessorSource } from "../vm/processors.ts";
import { DeviceStateWriter } from "./device-state.ts";
import { freeze, resume } from "./freeze.ts";

const TIMEOUT_MS = 10_000;
/** Devices' states have some hundred KiB; with RAM in it, it is none of what we asked for. */
const MAX_STATE = 2 ** 28;

/**
 * Registers of a running guest's processors with MSRs, LSTAR among them, which no monitor of a
 * running guest tells: the guest is stopped, QEMU writes the state of its devices, and the guest
 * runs on, some 10 to 60 ms in all. Refused where the state would have the guest's RAM in it.
 */
export async function pausedProcessors(
  guest: Pick<Guest, "target" | "memory">,
): Promise<ProcessorSource> {
  const { target, memory } = guest;
  if (target.kind !== "qemu") return missing("a dump cannot be paused");
  const socket = monitorFor(target.qemu);
  if (socket === undefined) return missing("this QEMU has no QMP socket");
  const folder = mkdtempSync(join(tmpdir(), "kvmsec-"));
  try {
    using monitor = await connectQmp(socket, { timeoutMs: TIMEOUT_MS });
    const refusal = await whyNot(monitor, memory.kind, target.qemu);
    if (refusal !== undefined) return missing(refusal);
    const path = join(folder, "state");
    await stateOfRunning(monitor, path, statSync(`/proc/${target.qemu.pid}`).uid);
    if (statSync(path).size > MAX_STATE) return missing("QEMU's state has the guest's RAM in it");
    const states = parseVcpuStates(readFileSync(path));
    return typeof states === "string" ? missing(`QEMU's state: ${states}`) : { processors: states };
  } catch (error) {
    return missing(error instanceof Error ? error.message : String(error));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Afterwards the guest runs, whatever happened. */
async function stateOfRunning(monitor: QmpConnection, path: string, owner: number): Promise<void> {
  await using writer = await DeviceStateWriter.prepare(monitor, owner);
  await freeze(monitor);
  try {
    await writer.save(path);
    await writer.giveBack();
  } finally {
    await resume(monitor);
  }
}

async function whyNot(
  monitor: QmpConnection,
  ram: string,
  { arguments: { backends } }: QemuProcess,
): Promise<string | undefined> {
  // What stands still could only be let go, not be put back as it was.
  if (!(await monitor.execute("query-status")).running) return "the guest stands still";
  if (ram === "file") return undefined;
  // The memfd of a VM of ours comes to QEMU as a file with a name.
  const isNamed = backends.length > 0 && backends.every(({ kind }) => kind === "file");
  if (ram === "memfd" && isNamed) return undefined;
  const { qemu } = await monitor.execute("query-version");
  // Later ones leave out of their state only what lies in a named file.
  const isOld = qemu.major < 8 || (qemu.major === 8 && qemu.minor < 2);
  if (ram === "memfd" && isOld) return undefined;
  return "its RAM is not a file, so that QEMU would write all of it";
}

function missing(processorsMissing: string): ProcessorSource {
  return { processorsMissing };
}
