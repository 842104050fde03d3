import { closeSync, ftruncateSync, openSync, rmSync, statfsSync } from "node:fs";
import { KvmsecError, systemCode } from "../base/errors.ts";
import type { VmConfig } from "./vm-state.ts";

const FOLDER = "/dev/shm";

/** Where a VM's RAM lies when it is a file: in the host's memory, under a name that nobody can guess before. */
export function ramFilePath(config: VmConfig): string {
  return `${FOLDER}/kvmsec-${config.uuid}`;
}

/** Makes the RAM file, readable by its owner only. Throws KVMSEC_HOST_MEMORY where it does not fit. */
export function makeRamFile(config: VmConfig): string {
  const { bavail, bsize } = statfsSync(FOLDER);
  if (bavail * bsize < config.memoryBytes) {
    throw new KvmsecError(
      "KVMSEC_HOST_MEMORY",
      `${FOLDER} has ${Math.floor((bavail * bsize) / 1024 ** 2)} MiB free, the guest's RAM needs ${config.memoryBytes / 1024 ** 2}.`,
      {
        hint: `Enlarge it (sudo mount -o remount,size=… ${FOLDER}), or make the VM with --ram memfd.`,
      },
    );
  }
  const path = ramFilePath(config);
  rmSync(path, { force: true });
  const fd = openSync(path, "wx", 0o600);
  try {
    ftruncateSync(fd, config.memoryBytes);
  } finally {
    closeSync(fd);
  }
  return path;
}

/** Gives the RAM's memory back once its QEMU is gone. */
export function removeRamFile(config: VmConfig): void {
  try {
    rmSync(ramFilePath(config), { force: true });
  } catch (error) {
    // Another user's: not ours to remove.
    if (!["EPERM", "EACCES"].includes(systemCode(error) ?? "")) throw error;
  }
}
