import { diskBytes } from "./disk-bytes.ts";
import type { DiskBytes } from "./disk-bytes.ts";

/** What a volume holds, by the names of blkid(8); `ext` is any of ext2, ext3 and ext4. */
export type VolumeKind =
  | "ext"
  | "LVM2_member"
  | "crypto_LUKS"
  | "linux_raid_member"
  | "xfs"
  | "btrfs"
  | "bcachefs"
  | "f2fs"
  | "zfs_member"
  | "vfat"
  | "ntfs"
  | "squashfs"
  | "erofs"
  | "iso9660"
  | "swap";

/** Where each kind has its mark, as libblkid has them; the mark in hexadecimal. */
const MARKS: readonly (readonly [VolumeKind, number, string])[] = [
  ["crypto_LUKS", 0, "4c554b53babe"],
  ["xfs", 0, "58465342"],
  ["squashfs", 0, "68737173"],
  ["ntfs", 3, "4e544653"],
  ["vfat", 54, "46415431"],
  ["vfat", 82, "4641543332"],
  ...[0, 512, 1024, 1536].map((at) => ["LVM2_member", at, "4c4142454c4f4e45"] as const),
  ["erofs", 1024, "e2e1f5e0"],
  ["f2fs", 1024, "1020f5f2"],
  ["ext", 1080, "53ef"],
  ["linux_raid_member", 0, "fc4e2ba9"],
  ["linux_raid_member", 4096, "fc4e2ba9"],
  ["bcachefs", 4120, "c68573f666ce90a9d96a60cf803df7ef"],
  ["swap", 4086, "5357415053504143"],
  ["iso9660", 32_769, "4344303031"],
  ["btrfs", 65_600, "5f42485266535f4d"],
  // An uberblock of the first label.
  ["zfs_member", 131_072, "0cb1ba0000000000"],
];

/** What a volume begins like; undefined where it is nothing known, or empty. */
export function volumeKind(volume: DiskBytes): VolumeKind | undefined {
  const found = MARKS.find(([, position, mark]) => {
    const bytes = diskBytes(volume, position, Math.ceil(mark.length / 2));
    return bytes !== undefined && Buffer.from(bytes.buffer).toString("hex").startsWith(mark);
  });
  return found?.[0];
}
