import type { PhysicalMemory } from "../memory/physical-memory.ts";

/** What is scanned. */
export const scopes = ["kernel", "processes", "pagecache"] as const;
export type Scope = (typeof scopes)[number];

/** A stretch of a region that is in memory: where it belongs in the region, and its bytes. */
export type Piece = { readonly at: number; readonly bytes: Uint8Array };

/** One thing with addresses of its own: a mapping of a process, a file, the kernel. */
export type Region = {
  readonly scope: Scope;
  /** Its name for people: `/usr/sbin/sshd`, `[heap]`, `kernel`. */
  readonly name: string;
  readonly pid?: number;
  readonly comm?: string;
  /** Bytes that it spans where that is known. */
  readonly size: number;
  /** What of it is in memory, in ascending order. */
  readonly pieces: Iterable<Piece>;
  /** A place in it: an address, or an offset into a file. */
  place(at: number): Readonly<Record<string, string | number>>;
};

/** No piece is larger: a window has to hold at least one. */
export const MAX_PIECE = 2 ** 21;

/** The bytes at a physical place, page by page where a part of it is not there. */
export function* piecesAt(
  memory: PhysicalMemory,
  at: number,
  physical: number,
  length: number,
  unread: (bytes: number) => void,
): Generator<Piece> {
  for (let done = 0; done < length; done += MAX_PIECE) {
    const size = Math.min(MAX_PIECE, length - done);
    const bytes = memory.bytes(physical + done, size);
    if (bytes !== undefined) yield { at: at + done, bytes };
    else {
      for (let page = done; page < done + size; page += PAGE) {
        const one = memory.bytes(physical + page, Math.min(PAGE, done + size - page));
        if (one !== undefined) yield { at: at + page, bytes: one };
        else if (isRam(memory, physical + page)) unread(PAGE);
      }
    }
  }
}

const PAGE = 4096;

/** A device's registers are mapped like memory, and are none. */
function isRam({ ranges }: PhysicalMemory, physical: number): boolean {
  return ranges.some(({ start, size }) => physical >= start && physical < start + size);
}
