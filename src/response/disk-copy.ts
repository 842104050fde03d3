import { constants, copyFileSync, statSync } from "node:fs";
import { basename, isAbsolute, join } from "node:path";
import type { QmpConnection } from "../qmp/connection.ts";
import type { BlockInfo } from "../qmp/generated.ts";
import { copyFileSparse } from "./sparse-copy.ts";

/** A writable disk of the guest's: the topmost file of its chain holds what it wrote. */
export type Disk = {
  readonly node: string;
  readonly format: string;
  /** As seen from here. */
  readonly path: string;
  /** The file below it, which was not changed. */
  readonly backing: string | undefined;
};

/** The guest's writable disks that are files on this host; `others` names those that are not. */
export async function writableDisks(
  monitor: QmpConnection,
  pid: number,
): Promise<{ disks: Disk[]; others: string[] }> {
  const disks: Disk[] = [];
  const others: string[] = [];
  for (const { inserted } of await monitor.execute("query-block")) {
    if (inserted === undefined || inserted.ro) continue;
    const disk = asFile(inserted, pid);
    if (disk === undefined) others.push(inserted["node-name"] ?? inserted.file);
    else disks.push(disk);
  }
  return { disks, others };
}

function asFile(inserted: NonNullable<BlockInfo["inserted"]>, pid: number): Disk | undefined {
  const { file, drv } = inserted;
  const path = isAbsolute(file) ? file : join(`/proc/${pid}/cwd`, file);
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return undefined;
  const node = inserted["node-name"] ?? basename(path);
  return { node, format: drv, path, backing: inserted.backing_file };
}

/** What its copy is called. Node names are QEMU's and may hold anything. */
export function diskFile({ node, format }: Pick<Disk, "node" | "format">): string {
  return `disk-${node.replaceAll(/[^\w.-]/g, "_")}.${format.replaceAll(/\W/g, "_")}`;
}

/** Copies a disk's topmost file; the file system shares the blocks where it can. Nobody may write to it meanwhile. */
export function copyDisk(disk: Disk, target: string): void {
  try {
    copyFileSync(disk.path, target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE);
  } catch {
    copyFileSparse(disk.path, target);
  }
}
