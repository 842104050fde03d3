import type { DiskBytes } from "../formats/disk/disk-bytes.ts";
import { DiskSlice } from "../formats/disk/disk-bytes.ts";
import { readPartitions } from "../formats/disk/partition-table.ts";
import { volumeKind } from "../formats/disk/volume-kind.ts";
import type { VolumeKind } from "../formats/disk/volume-kind.ts";
import { ExtFileSystem } from "../formats/ext/file-system.ts";
import type { GuestDisk } from "./guest-disks.ts";

/** A partition, or a disk without partitions. */
export type Volume = {
  /** For people: `partition 1 of /srv/vm.qcow2`. */
  readonly name: string;
  /** `0` for the first disk, `0.1` for its first partition. */
  readonly id: string;
  readonly size: number;
  readonly kind: VolumeKind | undefined;
  /** What it holds, where that can be read. */
  readonly fileSystem: ExtFileSystem | undefined;
  /** Why it cannot; undefined where it can, or where there is nothing. */
  readonly unreadable: string | undefined;
};

/** The volumes of a guest's disks, in their order. A disk that is one itself may have stale others. */
export function volumesOf(disks: readonly GuestDisk[]): Volume[] {
  return disks.flatMap(({ path, bytes }, index) => {
    const partitions = readPartitions(bytes).map(({ number, start, size }) =>
      volume(
        new DiskSlice(bytes, start, size),
        `partition ${number} of ${path}`,
        `${index}.${number}`,
      ),
    );
    const whole = volume(bytes, path, String(index));
    return whole.kind === undefined ? partitions : [whole, ...partitions];
  });
}

function volume(bytes: DiskBytes, name: string, id: string): Volume {
  const kind = volumeKind(bytes);
  const fileSystem = kind === "ext" ? ExtFileSystem.open(bytes) : undefined;
  const isRead = typeof fileSystem === "object";
  return {
    name,
    id,
    size: bytes.size,
    kind,
    fileSystem: isRead ? fileSystem : undefined,
    unreadable: isRead || kind === undefined || kind === "swap" ? undefined : why(kind, fileSystem),
  };
}

function why(kind: VolumeKind, reason: string | undefined): string {
  if (reason !== undefined) return reason;
  return kind === "crypto_LUKS" ? "it is encrypted (LUKS)" : `it holds ${kind}, which is not read`;
}
