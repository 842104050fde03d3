/** One line of /proc/PID/maps (proc(5)). */
export type HostMapping = {
  readonly start: bigint;
  readonly end: bigint;
  readonly size: number;
  readonly permissions: string;
  readonly offset: number;
  readonly inode: number;
  /** Path without ` (deleted)`; empty for anonymous memory. */
  readonly path: string;
};

const LINE = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) ([0-9a-f]+) \S+ (\d+)\s*(.*)$/;

export function parseMaps(text: string): HostMapping[] {
  return text.split("\n").flatMap((line) => {
    const match = LINE.exec(line);
    if (match === null) return [];
    const start = BigInt(`0x${match[1]}`);
    const end = BigInt(`0x${match[2]}`);
    return [
      {
        start,
        end,
        size: Number(end - start),
        permissions: match[3],
        offset: Number.parseInt(match[4], 16),
        inode: Number(match[5]),
        path: match[6].replace(/ \(deleted\)$/, ""),
      },
    ];
  });
}
