/**
 * How file systems that most files lie in call their tables of inodes; all use the kernel's for an
 * inode that could not be read, and for one that is being made.
 */
const OWN: readonly (readonly [fileSystem: RegExp, tables: RegExp])[] = [
  [/^ext[234]$/, /^ext[234]_/],
  [/^xfs$/, /^xfs_/],
  // A subvolume that is not mounted shows as an empty folder (new_simple_dir, fs/btrfs/inode.c).
  [/^btrfs$/, /^(btrfs_|simple_dir_operations$)/],
  [/^f2fs$/, /^f2fs_/],
  [/^overlay$/, /^ovl_/],
  [/^(tmpfs|ramfs|rootfs|devtmpfs)$/, /^(shmem|ramfs|simple)_/],
];
const ANY = /^(bad_inode_ops|bad_file_ops|(no_open_fops|empty_iops)(\.\w+)?)$/;

/** Whether a table of an ordinary file or folder is one that its file system does not use. */
export function isOtherFileSystems(fileSystem: string, table: string): boolean {
  const own = OWN.find(([name]) => name.test(fileSystem))?.[1];
  return own !== undefined && !own.test(table) && !ANY.test(table);
}
