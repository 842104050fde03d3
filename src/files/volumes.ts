import type { DiskBytes } from "../formats/disk/disk-bytes.ts";
import { DiskSlice } from "../formats/disk/disk-bytes.ts";
import { readPartitions } from "../formats/disk/partition-table.ts";
import { volumeKind } from "../formats/disk/volume-kind.ts";
import type { VolumeKind } from "../formats/disk/volume-kind.ts";
import type { FileSystem } from "../formats/disk/file-system.ts";
import { ExtFileSystem } from "../formats/ext/file-system.ts";
import { XfsFileSystem } from "../formats/xfs/file-system.ts";
import { logicalVolumes } from "../formats/lvm/volume-group.ts";
import type { LogicalVolume } from "../formats/lvm/volume-group.ts";
import type { GuestDisk } from "./guest-disks.ts";

/** A partition, a disk without partitions, or a volume that LVM2 makes of them. */
export type Volume = {
  /** For people: `partition 1 of /srv/vm.qcow2`. */
  readonly name: string;
  /** `0` for the first disk, `0.1` for its first partition, `group/name` for a volume of LVM2. */
  readonly id: string;
  readonly size: number;
  readonly kind: VolumeKind | undefined;
  /** What it holds, where that can be read. */
  readonly fileSystem: FileSystem | undefined;
  /** Why it cannot; undefined where it can, or where there is nothing. */
  readonly unreadable: string | undefined;
};

/** They hold no files: nothing is missed. What LVM2 makes of its members is told by itself. */
const HARMLESS: ReadonlySet<VolumeKind> = new Set(["swap", "LVM2_member"]);

/** The volumes of a guest's disks, in their order; then those that LVM2 makes out of them. */
export function volumesOf(disks: readonly GuestDisk[]): Volume[] {
  const places = disks.flatMap(({ path, bytes }, index) => placesOn(bytes, path, index));
  const volumes = places.map(({ bytes, name, id }) => volume(bytes, name, id));
  const members = places.filter((_, index) => volumes[index].kind === "LVM2_member");
  const logical = logicalVolumes(members.map(({ bytes }) => bytes));
  return [...volumes, ...logical.map(logicalVolume)];
}

type Place = { readonly bytes: DiskBytes; readonly name: string; readonly id: string };

/** A disk that is a volume itself may still have the partitions of an earlier time. */
function placesOn(bytes: DiskBytes, path: string, index: number): Place[] {
  const partitions = readPartitions(bytes).map(({ number, start, size }) => ({
    bytes: new DiskSlice(bytes, start, size),
    name: `partition ${number} of ${path}`,
    id: `${index}.${number}`,
  }));
  const whole = { bytes, name: path, id: String(index) };
  return volumeKind(bytes) === undefined ? partitions : [whole, ...partitions];
}

function logicalVolume({ name, bytes, reason }: LogicalVolume): Volume {
  const known = `LVM volume ${name}`;
  if (bytes !== undefined) return volume(bytes, known, name);
  const nothing = { size: 0, kind: undefined, fileSystem: undefined };
  return { name: known, id: name, ...nothing, unreadable: reason };
}

function volume(bytes: DiskBytes, name: string, id: string): Volume {
  const kind = volumeKind(bytes);
  const fileSystem = openFileSystem(bytes, kind);
  const isRead = typeof fileSystem === "object";
  return {
    name,
    id,
    size: bytes.size,
    kind,
    fileSystem: isRead ? fileSystem : undefined,
    unreadable:
      isRead || kind === undefined || HARMLESS.has(kind) ? undefined : why(kind, fileSystem),
  };
}

function openFileSystem(
  bytes: DiskBytes,
  kind: VolumeKind | undefined,
): FileSystem | string | undefined {
  if (kind === "ext") return ExtFileSystem.open(bytes);
  return kind === "xfs" ? XfsFileSystem.open(bytes) : undefined;
}

function why(kind: VolumeKind, reason: string | undefined): string {
  if (reason !== undefined) return reason;
  return kind === "crypto_LUKS" ? "it is encrypted (LUKS)" : `it holds ${kind}, which is not read`;
}
