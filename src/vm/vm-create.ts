import { randomUUID } from "node:crypto";
import { mkdirSync, renameSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { KvmsecError, usageError } from "../base/errors.ts";
import { openHome, writeDocumentFile } from "./home.ts";
import type { Home } from "./home.ts";
import { hostMemory, requireDisk } from "./host-room.ts";
import { openImage } from "./images.ts";
import { checkedName } from "./name.ts";
import { checkedPackets } from "./packet-files.ts";
import { removeTree, sweepRemains } from "./remains.ts";
import { runTool } from "./run-tool.ts";
import { withVm } from "./vm-lock.ts";
import { removeAllRam } from "./vm-ram.ts";
import { findConfig, findRun, vmPaths } from "./vm-state.ts";
import type { VmConfig } from "./vm-state.ts";

export type CreateOptions = Pick<VmConfig, "image"> &
  Partial<
    Pick<
      VmConfig,
      "memoryBytes" | "cpus" | "cpu" | "ram" | "machine" | "network" | "accelerator" | "packets"
    >
  >;

const MEBIBYTE = 1024 ** 2;
const MIN_MEMORY = 128 * MEBIBYTE;
/** An overlay's own tables, and the guest's first writes. */
const NEEDED_ROOM = 256 * MEBIBYTE;

/** Makes a VM on a golden image; it does not run yet. Throws KVMSEC_VM_EXISTS, KVMSEC_IMAGE_MISSING, … */
export async function createVm(
  name: string,
  options: CreateOptions,
  home: Home = openHome(),
): Promise<VmConfig> {
  const paths = vmPaths(home, name);
  mustBeFree(home, name);
  const image = openImage(home, options.image);
  const { network = "user", packets } = options;
  if (packets !== undefined) checkedPackets(network, packets.keepBytes);
  const config: VmConfig = {
    schema: "kvmsec.vm-config/1",
    name: checkedName(name),
    uuid: randomUUID(),
    image: image.name,
    imageId: image.id,
    memoryBytes: checkedMemory(options.memoryBytes ?? 1024 * MEBIBYTE),
    cpus: checkedCpus(options.cpus ?? 1),
    cpu: options.cpu ?? "max",
    ram: options.ram ?? "memfd",
    machine: options.machine ?? "q35",
    network,
    accelerator: options.accelerator ?? "auto",
    ...(packets === undefined ? {} : { packets }),
    createdAt: new Date().toISOString(),
  };
  requireDisk(home.vms, NEEDED_ROOM, `making ${name}`);
  sweepRemains(home.vms);
  const work = join(home.vms, `.new-${name}-${process.pid}`);
  mkdirSync(work, { mode: 0o700 });
  try {
    // Relative, so that the whole home can be moved.
    const base = join("..", "..", "images", image.name, "disk.qcow2");
    const overlay = join(work, "disk.qcow2");
    await runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, overlay]);
    writeDocumentFile(join(work, "vm.json"), config);
    place(home, name, work, paths.folder);
  } finally {
    removeTree(work);
  }
  return config;
}

/** Removes a VM and its disk; its image stays. Throws KVMSEC_VM_RUNNING. */
export function deleteVm(name: string, home: Home = openHome()): Promise<void> {
  return withVm(home, name, "vm delete", async (config, paths) => {
    const run = findRun(home, config);
    if (run !== undefined) {
      throw usageError(
        "KVMSEC_VM_RUNNING",
        `${name} runs, as pid ${run.pid}.`,
        `Stop it first (kvmsec vm stop ${name}), or add --force.`,
      );
    }
    const doomed = join(home.vms, `.deleted-${name}-${process.pid}`);
    renameSync(paths.folder, doomed);
    removeTree(doomed);
    removeAllRam(config);
  });
}

function mustBeFree(home: Home, name: string): void {
  if (findConfig(home, name) === undefined) return;
  throw usageError(
    "KVMSEC_VM_EXISTS",
    `There is a VM ${name} already.`,
    `Choose another name, or delete it: kvmsec vm delete ${name}`,
  );
}

/** Of two creators of one name one comes first: no folder can be renamed onto one that has files. */
function place(home: Home, name: string, work: string, folder: string): void {
  try {
    renameSync(work, folder);
  } catch (error) {
    mustBeFree(home, name);
    throw error;
  }
}

function checkedMemory(bytes: number): number {
  if (bytes % MEBIBYTE !== 0 || bytes < MIN_MEMORY) {
    throw usageError(
      "KVMSEC_VM_MEMORY",
      "A guest's memory is a whole number of MiB, and at least 128 of them.",
      "--memory 512M",
    );
  }
  const { total } = hostMemory();
  if (bytes < total) return bytes;
  throw new KvmsecError(
    "KVMSEC_HOST_MEMORY",
    `This host has ${Math.floor(total / MEBIBYTE)} MiB of memory, too little for a guest with ${bytes / MEBIBYTE} MiB.`,
    { hint: "Give it less: --memory 1G" },
  );
}

function checkedCpus(cpus: number): number {
  const most = Math.max(8, 2 * availableParallelism());
  if (Number.isInteger(cpus) && cpus >= 1 && cpus <= most) return cpus;
  throw usageError("KVMSEC_VM_CPUS", `A guest here has 1 to ${most} CPUs.`, "--cpus 2");
}
