/** One entry of an archive; `path` has no leading slash. */
export type CpioEntry = {
  readonly path: string;
  /** File type and permissions, as stat(2) has them. */
  readonly mode: number;
  readonly data?: Uint8Array;
  readonly device?: { readonly major: number; readonly minor: number };
};

export const fileTypes = {
  file: 0o100000,
  directory: 0o040000,
  link: 0o120000,
  character: 0o020000,
};

/**
 * An uncompressed "newc" archive, as the kernel unpacks it at boot
 * (Documentation/driver-api/early-userspace/buffer-format.rst). Everything belongs to root.
 */
export function cpio(entries: readonly CpioEntry[]): Buffer {
  const parts: Uint8Array[] = [];
  entries.forEach((entry, index) => {
    parts.push(...member(entry, index + 1));
  });
  parts.push(...member({ path: "TRAILER!!!", mode: 0 }, 0));
  return Buffer.concat(parts);
}

function member(entry: CpioEntry, inode: number): Uint8Array[] {
  const name = Buffer.from(`${entry.path}\0`);
  const data = entry.data ?? new Uint8Array();
  const fields = [
    inode,
    entry.mode,
    0, // uid
    0, // gid
    1, // links
    0, // mtime
    data.length,
    0, // device of the file system
    0,
    entry.device?.major ?? 0,
    entry.device?.minor ?? 0,
    name.length,
    0, // checksum, unused
  ];
  const header = Buffer.from(
    `070701${fields.map((field) => field.toString(16).padStart(8, "0")).join("")}`,
  );
  return [header, name, padding(header.length + name.length), data, padding(data.length)];
}

function padding(length: number): Uint8Array {
  return new Uint8Array(-length & 3);
}
