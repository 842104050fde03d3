/** MNT_* (include/linux/mount.h) in the order of show_mnt_opts (fs/proc_namespace.c). */
const MOUNT_OPTIONS = [
  [0x01, "nosuid"],
  [0x02, "nodev"],
  [0x04, "noexec"],
  [0x08, "noatime"],
  [0x10, "nodiratime"],
  [0x20, "relatime"],
  [0x80, "nosymfollow"],
] as const;
const MNT_READONLY = 0x40;

/** SB_* (include/linux/fs.h) in the order of show_sb_opts. */
const FILESYSTEM_OPTIONS = [
  [0x10, "sync"],
  [0x80, "dirsync"],
  [0x40, "mand"],
  [0x200_0000, "lazytime"],
] as const;
const SB_RDONLY = 0x1;

/** `rw,nosuid,…` of one mount, as the sixth field of mountinfo. */
export function mountOptions(flags: number, idmapped: boolean): string[] {
  const options = MOUNT_OPTIONS.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
  return [
    (flags & MNT_READONLY) === 0 ? "rw" : "ro",
    ...options,
    ...(idmapped ? ["idmapped"] : []),
  ];
}

/** `rw,sync,…` that every filesystem has, without those of its own kind. */
export function filesystemOptions(flags: number): string[] {
  const options = FILESYSTEM_OPTIONS.filter(([bit]) => (flags & bit) !== 0);
  return [(flags & SB_RDONLY) === 0 ? "rw" : "ro", ...options.map(([, name]) => name)];
}
