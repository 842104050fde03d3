import { connectQmp } from "../qmp/connection.ts";
import type { QmpConnection } from "../qmp/connection.ts";
import type { AcceleratorName } from "./accelerator.ts";
import { timeStampKhz } from "./host-clock.ts";
import { writeDocumentFile } from "./home.ts";
import type { Image } from "./images.ts";
import { preparePackets } from "./packet-files.ts";
import { startPacketKeeper } from "./packet-keeping.ts";
import { signalProcess } from "./process-identity.ts";
import { qemuArguments } from "./qemu-arguments.ts";
import { launchQemu } from "./qemu-launch.ts";
import { freshRam } from "./vm-ram.ts";
import type { VmRam } from "./vm-ram.ts";
import { homeRoot, newRun } from "./vm-state.ts";
import type { VmConfig, VmPaths, VmRun } from "./vm-state.ts";

export type RelaunchOptions = {
  readonly config: VmConfig;
  readonly image: Image;
  readonly paths: VmPaths;
  readonly accelerator: AcceleratorName;
  readonly reason: string;
  /** What the RAM holds already; QEMU then waits for the devices' state (`-incoming defer`). */
  readonly filled?: VmRam | undefined;
  /** The machine that the devices' state is of. */
  readonly machineType?: string | undefined;
};

/**
 * Starts a VM's QEMU with its vCPUs stopped, so that it can be prepared before its guest takes a
 * step. The caller holds the VM's lock, sees to its disk, and closes the monitor.
 */
export async function relaunch(
  options: RelaunchOptions,
): Promise<{ run: VmRun; monitor: QmpConnection }> {
  const { config, image, paths, accelerator, filled } = options;
  filled?.takePlace();
  using fresh = filled === undefined ? freshRam(config) : undefined;
  const ram = filled ?? fresh;
  const packets = preparePackets(config, paths, true);
  const args = qemuArguments({
    config,
    image,
    paths,
    accelerator,
    memPath: ram?.memPath,
    packets: packets?.file,
    machineType: options.machineType,
    tscKhz: timeStampKhz(),
  });
  const stopped = filled === undefined ? ["-S"] : ["-S", "-incoming", "defer"];
  using qemu = launchQemu([...args, ...stopped], paths, ram?.inherited);
  const run = newRun(qemu.identity, options, ram?.path);
  try {
    writeDocumentFile(paths.run, run);
    packets?.begin(run);
    await qemu.answers();
    if (packets !== undefined) startPacketKeeper(homeRoot(paths));
    return { run, monitor: await connectQmp(paths.operator) };
  } catch (error) {
    signalProcess(run, "SIGKILL");
    throw error;
  }
}
