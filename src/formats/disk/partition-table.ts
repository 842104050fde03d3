import { text, u16, u32, u64 } from "../little-endian.ts";
import { diskBytes } from "./disk-bytes.ts";
import type { DiskBytes } from "./disk-bytes.ts";

/** A part of a disk, with the number that the kernel gives it. */
export type Partition = {
  readonly number: number;
  /** Bytes from the disk's start. */
  readonly start: number;
  /** Bytes. */
  readonly size: number;
};

/** Sizes of a sector that disks have. */
const SECTORS = [512, 4096] as const;
const MAX_GPT_ENTRIES = 1024;
const MAX_GPT_ENTRY = 4096;
const MAX_LOGICAL = 128;
const EXTENDED = new Set([0x05, 0x0f, 0x85]);
const PROTECTIVE = 0xee;
const FIRST_LOGICAL = 5;

/**
 * The partitions of a disk, from its GUID partition table (UEFI specification, chapter 5) or its
 * master boot record; none where it has neither. Parts that do not lie within the disk are left out.
 */
export function readPartitions(disk: DiskBytes): Partition[] {
  for (const sector of SECTORS) {
    const header = diskBytes(disk, sector, 512);
    if (header === undefined || text(header, 0, 8) !== "EFI PART") continue;
    const entries = gptEntries(disk, header, sector);
    if (entries.length > 0) return entries;
  }
  const head = diskBytes(disk, 0, 512);
  if (head === undefined || u16(head, 510) !== 0xaa55) return [];
  return mbrPartitions(disk, head).filter((part) => isWithin(disk, part));
}

/** 128 entries as a rule: type (16 bytes, zero in an unused one), id, first and last sector. */
function gptEntries(disk: DiskBytes, header: Uint8Array, sector: number): Partition[] {
  const count = Math.min(u32(header, 80), MAX_GPT_ENTRIES);
  const size = u32(header, 84);
  if (size < 128 || size > MAX_GPT_ENTRY) return [];
  const table = diskBytes(disk, u64(header, 72) * sector, count * size);
  const found: Partition[] = [];
  if (table === undefined) return found;
  for (let index = 0; index < count; index++) {
    const at = index * size;
    if (table.subarray(at, at + 16).every((byte) => byte === 0)) continue;
    const start = u64(table, at + 32) * sector;
    const part = { number: index + 1, start, size: (u64(table, at + 40) + 1) * sector - start };
    if (isWithin(disk, part)) found.push(part);
  }
  return found;
}

type Entry = { readonly type: number; readonly start: number; readonly size: number };

/** Four entries; an extended one holds a chain of further tables (block/partitions/msdos.c). */
function mbrPartitions(disk: DiskBytes, head: Uint8Array): Partition[] {
  const found: Partition[] = [];
  for (const [index, { type, start, size }] of mbrEntries(head).entries()) {
    if (size === 0 || type === 0 || type === PROTECTIVE) continue;
    if (EXTENDED.has(type)) found.push(...logicalPartitions(disk, start));
    else found.push({ number: index + 1, start, size });
  }
  return found;
}

function mbrEntries(table: Uint8Array): Entry[] {
  return [446, 462, 478, 494].map((at) => ({
    type: table[at + 4],
    start: u32(table, at + 8) * 512,
    size: u32(table, at + 12) * 512,
  }));
}

/** Each link's first entry is a partition behind the link, the second leads on from the chain's start. */
function logicalPartitions(disk: DiskBytes, chain: number): Partition[] {
  const found: Partition[] = [];
  let link = chain;
  for (let left = MAX_LOGICAL; left > 0; left--) {
    const table = diskBytes(disk, link, 512);
    if (table === undefined || u16(table, 510) !== 0xaa55) break;
    const [part, next] = mbrEntries(table);
    if (part.size > 0 && part.type !== 0) {
      found.push({
        number: FIRST_LOGICAL + found.length,
        start: link + part.start,
        size: part.size,
      });
    }
    if (next.start === 0 || !EXTENDED.has(next.type)) break;
    link = chain + next.start;
  }
  return found;
}

function isWithin(disk: DiskBytes, { start, size }: Partition): boolean {
  return start > 0 && size > 0 && start < disk.size;
}
