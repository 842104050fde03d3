import { rmSync } from "node:fs";
import { KvmsecError, usageError } from "../base/errors.ts";
import { connectQmp } from "../qmp/connection.ts";
import { probeAccelerator } from "./accelerator.ts";
import type { Accelerator } from "./accelerator.ts";
import { timeStampKhz } from "./host-clock.ts";
import { openHome, writeDocumentFile } from "./home.ts";
import type { Home } from "./home.ts";
import { requireDisk, requireMemory } from "./host-room.ts";
import { openImage } from "./images.ts";
import type { Image } from "./images.ts";
import { preparePackets } from "./packet-files.ts";
import { startPacketKeeper } from "./packet-keeping.ts";
import { isRunning, signalProcess } from "./process-identity.ts";
import { qemuArguments } from "./qemu-arguments.ts";
import { launchQemu } from "./qemu-launch.ts";
import type { LaunchedQemu } from "./qemu-launch.ts";
import { withVm } from "./vm-lock.ts";
import { freshRam, removeRamFile } from "./vm-ram.ts";
import { findRun, homeRoot, newRun } from "./vm-state.ts";
import type { VmConfig, VmPaths, VmRun } from "./vm-state.ts";

/** Room for the guest's first writes and QEMU's log. */
const NEEDED_ROOM = 128 * 1024 ** 2;

export type StartOptions = {
  /** Told when a stage begins. */
  readonly onStage?: (text: string) => void;
  /** Called under the VM's lock before what its last run left is cleared away. */
  readonly keepRemains?: (config: VmConfig, paths: VmPaths) => Promise<unknown>;
};

/**
 * Starts a VM: returns once its QEMU answers and its guest runs. QEMU is a process of its own, in a
 * session of its own: it outlives the command that started it, and any monitor.
 */
export function startVm(
  name: string,
  options: StartOptions = {},
  home: Home = openHome(),
): Promise<VmRun> {
  const { onStage = () => {} } = options;
  return withVm(home, name, "vm start", async (config, paths) => {
    mustNotRun(home, config);
    const image = imageOf(home, config);
    requireMemory(config.memoryBytes);
    requireDisk(paths.folder, NEEDED_ROOM, `starting ${name}`);
    onStage("choosing the accelerator");
    const accelerator = await chooseAccelerator(config);
    onStage(`starting QEMU under ${accelerator.accelerator.toUpperCase()}`);
    await options.keepRemains?.(config, paths);
    clearRemains(paths, config);
    try {
      return await launch(config, image, paths, accelerator);
    } catch (error) {
      clearRemains(paths, config);
      throw error;
    }
  });
}

async function launch(
  config: VmConfig,
  image: Image,
  paths: VmPaths,
  { accelerator, reason }: Accelerator,
): Promise<VmRun> {
  using ram = freshRam(config);
  const packets = preparePackets(config, paths, false);
  const args = qemuArguments({
    config,
    image,
    paths,
    accelerator,
    memPath: ram?.memPath,
    packets: packets?.file,
    tscKhz: timeStampKhz(),
  });
  using qemu = launchQemu(args, paths, ram?.inherited);
  const run = newRun(qemu.identity, { accelerator, reason }, ram?.path);
  try {
    writeDocumentFile(paths.run, run);
    packets?.begin(run);
    await mustAnswer(qemu, paths, config);
    if (packets !== undefined) startPacketKeeper(homeRoot(paths));
    return run;
  } catch (error) {
    signalProcess(run, "SIGKILL");
    throw error;
  }
}

async function mustAnswer(qemu: LaunchedQemu, paths: VmPaths, config: VmConfig): Promise<void> {
  await qemu.answers();
  using connection = await connectQmp(paths.operator);
  const { status } = await connection.execute("query-status");
  if (status === "running") return;
  throw new KvmsecError("KVMSEC_VM_START_FAILED", `${config.name} came up as ${status}.`, {
    hint: `${paths.log} holds what QEMU said.`,
  });
}

function mustNotRun(home: Home, config: VmConfig): void {
  const run = findRun(home, config);
  if (run === undefined) return;
  throw usageError("KVMSEC_VM_RUNNING", `${config.name} runs already, as pid ${run.pid}.`);
}

/** The VM's disk holds only what differs from one certain image. */
export function imageOf(home: Home, config: VmConfig): Image {
  const image = openImage(home, config.image);
  if (image.id === config.imageId) return image;
  throw new KvmsecError(
    "KVMSEC_VM_IMAGE_CHANGED",
    `The image ${config.image} was replaced by another one since ${config.name} was made on it.`,
    { hint: `Make the VM anew: kvmsec vm delete ${config.name}, then vm create.` },
  );
}

export async function chooseAccelerator(config: VmConfig): Promise<Accelerator> {
  if (config.accelerator === "tcg") {
    return { accelerator: "tcg", reason: "the VM was made for TCG", kvm: "absent" };
  }
  const probed = await probeAccelerator();
  if (config.accelerator === "auto" || probed.accelerator === "kvm") return probed;
  throw new KvmsecError("KVMSEC_KVM_UNUSABLE", `${config.name} wants KVM, but ${probed.reason}.`, {
    hint: "'kvmsec doctor' tells what is missing; a VM made with --accel auto falls back to TCG.",
  });
}

/** What the last run left, which must not be mistaken for this one's. */
export function clearRemains(paths: VmPaths, config: VmConfig): void {
  for (const path of [paths.run, paths.pidFile, paths.monitor, paths.operator, paths.console]) {
    rmSync(path, { force: true });
  }
  removeRamFile(config);
}

/** Tidies up after a QEMU that is gone; does nothing while it runs. */
export function clearAfter(paths: VmPaths, config: VmConfig, run: VmRun): void {
  if (!isRunning(run)) clearRemains(paths, config);
}
