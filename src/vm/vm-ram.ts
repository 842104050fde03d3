import { closeSync, ftruncateSync, openSync, renameSync, rmSync, statfsSync } from "node:fs";
import { KvmsecError, systemCode } from "../base/errors.ts";
import { makeMemfd } from "../native/memfd.ts";
import { INHERITED_FD } from "./qemu-launch.ts";
import type { VmConfig } from "./vm-state.ts";

const FOLDER = "/dev/shm";

/**
 * RAM that was made before the QEMU that is to use it. Disposing ends our part in it: the memory
 * lives as long as somebody has it open, or as long as the name stands that `takePlace` gave it.
 *
 * A memfd is made here, not by QEMU's memory-backend-memfd, and given to memory-backend-file through
 * an inherited descriptor: newer QEMUs leave RAM out of a device state only if it came by a path
 * (system/physmem.c: qemu_ram_is_named_file, asked by migrate_ram_is_ignored since 8.2).
 */
export class VmRam implements Disposable {
  readonly fd: number;
  readonly #config: VmConfig;
  #path: string | undefined;

  private constructor(config: VmConfig, fd: number, path: string | undefined) {
    this.#config = config;
    this.fd = fd;
    this.#path = path;
  }

  /** Makes a memfd, or a file beside the one that the VM may be using. Throws KVMSEC_HOST_MEMORY. */
  static make(config: VmConfig): VmRam {
    const size = config.memoryBytes;
    if (config.ram !== "file") return new VmRam(config, makeMemfd("kvmsec-ram", size), undefined);
    mustFit(size);
    const path = spareFilePath(config);
    rmSync(path, { force: true });
    const ram = new VmRam(config, openSync(path, "wx+", 0o600), path);
    ftruncateSync(ram.fd, size);
    return ram;
  }

  /** Its name on the host, where it has one. */
  get path(): string | undefined {
    return this.#path;
  }

  /** What QEMU is given as mem-path. */
  get memPath(): string {
    return this.#path ?? `/proc/self/fd/${INHERITED_FD}`;
  }

  /** The descriptor that QEMU has to inherit, where it is to find the memory by it. */
  get inherited(): number | undefined {
    return this.#path === undefined ? this.fd : undefined;
  }

  /** Gives a file the name under which the VM's RAM is known; an earlier one loses it. */
  takePlace(): void {
    if (this.#path === undefined) return;
    const place = ramFilePath(this.#config);
    renameSync(this.#path, place);
    this.#path = place;
  }

  [Symbol.dispose](): void {
    if (this.#path === spareFilePath(this.#config)) rmSync(this.#path, { force: true });
    closeSync(this.fd);
  }
}

/** The RAM for a VM's start, or undefined where QEMU is to keep it to itself. */
export function freshRam(config: VmConfig): VmRam | undefined {
  if (config.ram === "anonymous") return undefined;
  const ram = VmRam.make(config);
  ram.takePlace();
  return ram;
}

/** Gives the memory of a RAM file back once its QEMU is gone. */
export function removeRamFile(config: VmConfig): void {
  remove(ramFilePath(config));
}

/** The same, with what a preparation left that did not live to its end. */
export function removeAllRam(config: VmConfig): void {
  removeRamFile(config);
  remove(spareFilePath(config));
}

function remove(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch (error) {
    // Another user's: not ours to remove.
    if (!["EPERM", "EACCES"].includes(systemCode(error) ?? "")) throw error;
  }
}

/** Where a VM's RAM lies when it is a file: in the host's memory, under a name that nobody can guess before. */
function ramFilePath(config: VmConfig): string {
  return `${FOLDER}/kvmsec-${config.uuid}`;
}

function spareFilePath(config: VmConfig): string {
  return `${ramFilePath(config)}.next`;
}

function mustFit(size: number): void {
  const { bavail, bsize } = statfsSync(FOLDER);
  if (bavail * bsize >= size) return;
  throw new KvmsecError(
    "KVMSEC_HOST_MEMORY",
    `${FOLDER} has ${Math.floor((bavail * bsize) / 1024 ** 2)} MiB free, the guest's RAM needs ${size / 1024 ** 2}.`,
    {
      hint: `Enlarge it (sudo mount -o remount,size=… ${FOLDER}), or make the VM with --ram memfd.`,
    },
  );
}
