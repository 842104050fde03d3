import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { documentKind } from "../base/document.ts";
import type { DocumentKind } from "../base/document.ts";
import { KvmsecError } from "../base/errors.ts";
import { acceleratorNames } from "./accelerator.ts";
import type { Accelerator, AcceleratorName } from "./accelerator.ts";
import { readDocument, stateDamaged } from "./home.ts";
import type { Home } from "./home.ts";
import { checkedName, nameShape } from "./name.ts";
import { isRunning, processArguments, processIdentity, processShape } from "./process-identity.ts";
import type { ProcessIdentity } from "./process-identity.ts";

export const ramKinds = ["memfd", "file", "anonymous"] as const;
export const machineKinds = ["q35", "pc", "microvm"] as const;
export const networkKinds = ["user", "none"] as const;
export const acceleratorWishes = ["auto", "kvm", "tcg"] as const;

export type RamBacking = (typeof ramKinds)[number];
export type MachineKind = (typeof machineKinds)[number];
export type NetworkKind = (typeof networkKinds)[number];
export type AcceleratorWish = (typeof acceleratorWishes)[number];

/** What vm.json says: what the VM is, whether it runs or not. */
export type VmConfig = {
  readonly schema: "kvmsec.vm-config/1";
  readonly name: string;
  readonly uuid: string;
  readonly image: string;
  /** Which making of that image: another one under that name would not fit its disk. */
  readonly imageId: string;
  readonly memoryBytes: number;
  readonly cpus: number;
  /** QEMU's -cpu. */
  readonly cpu: string;
  readonly ram: RamBacking;
  readonly machine: MachineKind;
  readonly network: NetworkKind;
  readonly accelerator: AcceleratorWish;
  /** Where its packets are kept: how many bytes of the last of them. */
  readonly packets?: { readonly keepBytes: number };
  readonly createdAt: string;
};

export const vmConfigKind: DocumentKind<VmConfig> = documentKind("kvmsec.vm-config/1", {
  name: nameShape,
  // It names the RAM's file.
  uuid: z.guid(),
  image: nameShape,
  imageId: z.string(),
  memoryBytes: z.int().positive(),
  cpus: z.int().positive(),
  cpu: z.string(),
  ram: z.enum(ramKinds),
  machine: z.enum(machineKinds),
  network: z.enum(networkKinds),
  accelerator: z.enum(acceleratorWishes),
  packets: z.object({ keepBytes: z.int().positive() }).exactOptional(),
  createdAt: z.string(),
});

/** What run.json says: the QEMU that carries the VM. */
export type VmRun = ProcessIdentity & {
  readonly schema: "kvmsec.vm-run/1";
  readonly startedAt: string;
  readonly accelerator: AcceleratorName;
  readonly acceleratorReason: string;
  /** The RAM's file, where it is one. */
  readonly ramPath?: string;
};

export const vmRunKind: DocumentKind<VmRun> = documentKind("kvmsec.vm-run/1", {
  ...processShape.shape,
  startedAt: z.string(),
  accelerator: z.enum(acceleratorNames),
  acceleratorReason: z.string(),
  ramPath: z.string().exactOptional(),
});

/** Paths in a VM's folder; home.ts tells what they are. */
export function vmPaths(home: Home, name: string) {
  const folder = join(home.vms, checkedName(name));
  return {
    folder,
    config: join(folder, "vm.json"),
    run: join(folder, "run.json"),
    disk: join(folder, "disk.qcow2"),
    monitor: join(folder, "monitor.qmp"),
    operator: join(folder, "operator.qmp"),
    console: join(folder, "console.sock"),
    log: join(folder, "qemu.log"),
    pidFile: join(folder, "qemu.pid"),
    lock: join(folder, "lock"),
    consoleLock: join(folder, "console.lock"),
    packets: join(folder, "packets"),
    packetState: join(folder, "packets.json"),
    packetLock: join(folder, "packets.lock"),
  };
}

export type VmPaths = ReturnType<typeof vmPaths>;

/** The root of the home that a VM's folder lies in. */
export function homeRoot({ folder }: VmPaths): string {
  return dirname(dirname(folder));
}

/** Names of all VMs of this home. */
export function vmNames(home: Home): string[] {
  return readdirSync(home.vms)
    .filter((name) => !name.startsWith("."))
    .toSorted();
}

/** Names of the VMs that stand on an image. */
export function vmsOnImage(home: Home, image: string): string[] {
  return vmNames(home).filter((name) => findConfig(home, name)?.image === image);
}

/** What the VM is, or undefined where there is none of that name. Throws KVMSEC_STATE_DAMAGED. */
export function findConfig(home: Home, name: string): VmConfig | undefined {
  const { config: path } = vmPaths(home, name);
  const config = readDocument(path, vmConfigKind);
  if (config === undefined || config.name === name) return config;
  // All that is done to a VM is done to the one that its document names.
  throw stateDamaged(path, `it is of the VM ${config.name}`);
}

/** What the VM is; throws KVMSEC_VM_MISSING. */
export function openConfig(home: Home, name: string): VmConfig {
  const config = findConfig(home, name);
  if (config !== undefined) return config;
  const others = vmNames(home);
  throw new KvmsecError("KVMSEC_VM_MISSING", `There is no VM ${name}.`, {
    hint:
      others.length === 0
        ? `Make one: kvmsec vm create ${name} --image NAME`
        : `There are: ${others.join(", ")}.`,
  });
}

/** The QEMU that carries the VM now, or undefined where it does not run. */
export function findRun(home: Home, config: VmConfig): VmRun | undefined {
  const paths = vmPaths(home, config.name);
  const run = readDocument(paths.run, vmRunKind);
  if (run !== undefined && isRunning(run)) return run;
  return adopt(paths, config);
}

/** What run.json is to say of a QEMU. */
export function newRun(
  { pid, startTime, bootId }: ProcessIdentity,
  { accelerator, reason }: Pick<Accelerator, "accelerator" | "reason">,
  ramPath: string | undefined,
): VmRun {
  return {
    schema: "kvmsec.vm-run/1",
    pid,
    startTime,
    bootId,
    startedAt: new Date().toISOString(),
    accelerator,
    acceleratorReason: reason,
    ...(ramPath === undefined ? {} : { ramPath }),
  };
}

/** A QEMU whose starter died before it could write run.json: its pid file and its command line tell. */
function adopt(paths: VmPaths, config: VmConfig): VmRun | undefined {
  const pid = Number(readIfThere(paths.pidFile)?.trim() ?? Number.NaN);
  if (!Number.isSafeInteger(pid)) return undefined;
  const words = processArguments(pid) ?? [];
  const identity = processIdentity(pid);
  if (identity === undefined || words[words.indexOf("-uuid") + 1] !== config.uuid) return undefined;
  const accelerator =
    words[words.indexOf("-accel") + 1]?.startsWith("kvm") === true ? "kvm" : "tcg";
  return newRun(identity, { accelerator, reason: "found running" }, undefined);
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
