import { connectQmp } from "../qmp/connection.ts";
import type { QmpConnection } from "../qmp/connection.ts";
import type { MemoryDeviceInfo } from "../qmp/generated.ts";
import { monitorFor } from "./monitor-choice.ts";
import type { QemuProcess } from "./qemu-process.ts";
import type { PluggedModule } from "./ram-parts.ts";

/** A monitor that serves somebody else keeps us waiting. */
const TIMEOUT_MS = 2000;

/**
 * The memory that is in a QEMU's slots by now, by its own word; undefined where it cannot be asked.
 * Only a guest that may grow has any.
 */
export async function askPluggedMemory(qemu: QemuProcess): Promise<PluggedModule[] | undefined> {
  const path = monitorFor(qemu);
  if (path === undefined) return undefined;
  try {
    using monitor = await connectQmp(path, { timeoutMs: TIMEOUT_MS });
    const modules: PluggedModule[] = [];
    for (const device of await monitor.execute("query-memory-devices")) {
      modules.push(...(await moduleOf(monitor, device)));
    }
    return modules;
  } catch {
    return undefined;
  }
}

async function moduleOf(
  monitor: QmpConnection,
  device: MemoryDeviceInfo,
): Promise<PluggedModule[]> {
  // Others are no memory that a kernel keeps itself in: nvdimm, enclaves.
  if (device.type !== "dimm" && device.type !== "virtio-mem") return [];
  const virtio = device.type === "virtio-mem";
  const address = virtio ? device.data.memaddr : device.data.addr;
  // All that it may ever grow to is mapped from the beginning.
  const size = virtio ? device.data["max-size"] : device.data.size;
  const backend = device.data.memdev.replace(/^\/objects\//, "");
  const host = / is (0x[0-9a-f]+)/.exec(await monitor.human(`gpa2hva ${address}`))?.[1];
  const hostAddress = host === undefined ? {} : { hostAddress: BigInt(host) };
  return [{ backend, address, size, ...hostAddress }];
}
