import { randomUUID } from "node:crypto";
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { KvmsecError } from "../base/errors.ts";
import { RAM_AT } from "../evidence/core-header.ts";
import { copyStored, eachStored } from "../evidence/stored-file.ts";
import { verifyPackage } from "../evidence/verify.ts";
import { writeSparse } from "../memory/sparse-write.ts";
import type { Home } from "../vm/home.ts";
import { writeDocumentFile } from "../vm/home.ts";
import { requireMemory } from "../vm/host-room.ts";
import { checkedName } from "../vm/name.ts";
import { signalProcess } from "../vm/process-identity.ts";
import { removeTree } from "../vm/remains.ts";
import { withVm } from "../vm/vm-lock.ts";
import { VmRam } from "../vm/vm-ram.ts";
import { relaunch } from "../vm/vm-relaunch.ts";
import { clearRemains, imageOf } from "../vm/vm-start.ts";
import { findConfig, vmConfigKind, vmPaths, vmRunKind } from "../vm/vm-state.ts";
import type { VmConfig, VmRun } from "../vm/vm-state.ts";
import { loadDeviceState } from "./device-state.ts";
import { resume } from "./freeze.ts";
import { setLinks } from "./isolate.ts";

export type ReviveOptions = {
  /** Leave it standing still at the moment of its capture. */
  readonly frozen?: boolean;
  readonly onStage?: ((text: string) => void) | undefined;
};

/** A captured guest that lives again. */
export type Revived = { readonly name: string; readonly run: VmRun };

/** Facts of a captured VM of kvmsec's: the package may be of anybody's making. */
const capturedVm = z.object({
  vm: z.object({ config: vmConfigKind.shape, run: vmRunKind.shape }),
  disks: z.tuple([z.object({ file: z.string() })], z.unknown()),
});

/**
 * Starts a captured VM again from the moment of its capture, under another name, on copies: the
 * package is not touched. Its links are down before it takes a step. Only what verifies is revived.
 * Throws KVMSEC_EVIDENCE_CHANGED, KVMSEC_REVIVE_FOREIGN, KVMSEC_VM_EXISTS.
 */
export async function revive(
  home: Home,
  folder: string,
  name: string,
  options: ReviveOptions = {},
): Promise<Revived> {
  const { onStage = () => {} } = options;
  onStage("verifying the package");
  const { manifest, faults } = await verifyPackage(folder);
  if (faults.length > 0) {
    throw new KvmsecError(
      "KVMSEC_EVIDENCE_CHANGED",
      `${folder} is not as it was captured: ${faults.map(({ path, fault }) => `${path} (${fault})`).join(", ")}.`,
      { hint: `kvmsec evidence verify ${folder} names what was changed.`, exit: 1 },
    );
  }
  const { data: captured } = capturedVm.safeParse(manifest.facts);
  if (captured === undefined) throw foreign(folder);
  const { vm, disks } = captured;
  const [disk] = disks;
  // What verified lies in the package; any other path would lead to a file of this host.
  if (!manifest.files.some(({ path }) => path === disk.file)) throw foreign(folder);
  const { packets: _, ...made } = vm.config;
  const config: VmConfig = { ...made, name: checkedName(name), uuid: randomUUID() };
  requireMemory(config.memoryBytes);
  onStage("copying its disk and memory");
  await makeVm(home, config, folder, disk.file);
  try {
    return await withVm(home, name, "evidence revive", async () => {
      using ram = VmRam.make(config);
      await copyRam(folder, config, ram);
      onStage("starting it without a network");
      const run = await wake(home, config, folder, vm.run, ram, options);
      return { name, run };
    });
  } catch (error) {
    clearRemains(vmPaths(home, name), config);
    removeTree(vmPaths(home, name).folder);
    throw error;
  }
}

async function wake(
  home: Home,
  config: VmConfig,
  folder: string,
  { accelerator }: VmRun,
  filled: VmRam,
  { frozen }: ReviveOptions,
): Promise<VmRun> {
  const paths = vmPaths(home, config.name);
  const image = imageOf(home, config);
  const reason = "the guest was captured under it";
  const { run, monitor } = await relaunch({ config, image, paths, accelerator, reason, filled });
  const devices = join(paths.folder, "device-state.bin");
  try {
    await copyStored(folder, "device-state.bin", devices);
    await loadDeviceState(monitor, devices);
    await setLinks(monitor, false);
    if (frozen !== true) await resume(monitor);
    return run;
  } catch (error) {
    signalProcess(run, "SIGKILL");
    throw error;
  } finally {
    monitor.close();
    rmSync(devices, { force: true });
  }
}

/** The VM's folder, whole at one stroke. */
async function makeVm(home: Home, config: VmConfig, folder: string, disk: string): Promise<void> {
  const paths = vmPaths(home, config.name);
  if (findConfig(home, config.name) !== undefined) {
    throw new KvmsecError("KVMSEC_VM_EXISTS", `There is a VM ${config.name} already.`, {
      hint: "Choose another name with --name.",
      exit: 2,
    });
  }
  const work = join(home.vms, `.new-${config.name}-${process.pid}`);
  mkdirSync(work, { mode: 0o700 });
  try {
    await copyStored(folder, disk, join(work, "disk.qcow2"));
    writeDocumentFile(join(work, "vm.json"), config);
    renameSync(work, paths.folder);
  } finally {
    removeTree(work);
  }
}

/** The RAM lies behind the core's head, block after block, as QEMU's own file has it. */
async function copyRam(folder: string, config: VmConfig, ram: VmRam): Promise<void> {
  const end = RAM_AT + config.memoryBytes;
  await eachStored(folder, "memory.elf", (bytes, at) => {
    const from = Math.max(0, RAM_AT - at);
    const part = bytes.subarray(from, Math.max(from, end - at));
    writeSparse(ram.fd, part, at + from - RAM_AT);
  });
}

function foreign(folder: string): KvmsecError {
  return new KvmsecError(
    "KVMSEC_REVIVE_FOREIGN",
    `${folder} holds a guest that kvmsec did not make, so nobody here knows how its machine was put together.`,
    { hint: "Its memory opens as file:…/memory.elf; its QEMU's command line is in manifest.json." },
  );
}
