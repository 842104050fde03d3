import { diskBytes } from "../disk/disk-bytes.ts";
import type { DiskBytes } from "../disk/disk-bytes.ts";
import { text, u32, u64 } from "../little-endian.ts";
import { parseConfigText } from "./config-text.ts";
import type { ConfigSection } from "./config-text.ts";

/** What a disk or partition that LVM2 manages says of itself and of its group. */
export type PhysicalVolume = {
  /** 32 characters, without dashes. */
  readonly id: string;
  /** The group's description; undefined where this volume keeps no copy of it that can be read. */
  readonly description: ConfigSection | undefined;
};

const SECTOR = 512;
const LABEL_SECTORS = 4;
const MAX_AREAS = 16;
/** What precedes the text (struct mda_header, lib/format_text/layout.h). */
const AREA_HEADER = 512;
const AREA_MAGIC = " LVM2 x[5A%r0N*>";
const MAX_TEXT = 8 * 2 ** 20;
const ID_LENGTH = 32;

/** Reads a volume's label, which lies in one of its first four sectors (lib/label/label.h). */
export function readPhysicalVolume(volume: DiskBytes): PhysicalVolume | undefined {
  for (let sector = 0; sector < LABEL_SECTORS; sector++) {
    const label = diskBytes(volume, sector * SECTOR, SECTOR);
    if (label === undefined || text(label, 0, 8) !== "LABELONE") continue;
    const at = u32(label, 20);
    if (text(label, 24, 8) !== "LVM2 001" || at + ID_LENGTH + 8 > SECTOR) continue;
    const id = text(label, at, ID_LENGTH);
    for (const area of metadataAreas(label, at + ID_LENGTH + 8)) {
      const description = readDescription(volume, area);
      if (description !== undefined) return { id, description };
    }
    return { id, description: undefined };
  }
  return undefined;
}

type Area = { readonly start: number; readonly size: number };

/** Two lists of places end with a zero each: those of data, then those of metadata. */
function metadataAreas(label: Uint8Array, from: number): Area[] {
  const areas: Area[] = [];
  let at = from;
  let isData = true;
  for (; at + 16 <= label.length && areas.length < MAX_AREAS; at += 16) {
    const start = u64(label, at);
    if (start !== 0 && !isData) areas.push({ start, size: u64(label, at + 8) });
    if (start === 0 && !isData) break;
    if (start === 0) isData = false;
  }
  return areas;
}

/** The text goes round: behind the area's end it goes on after the area's head. */
function readDescription(volume: DiskBytes, area: Area): ConfigSection | undefined {
  const head = diskBytes(volume, area.start, AREA_HEADER);
  if (head === undefined || text(head, 4, 16) !== AREA_MAGIC) return undefined;
  const offset = u64(head, 40);
  const size = u64(head, 48);
  if (!(offset >= AREA_HEADER && offset < area.size && size > 0 && size <= MAX_TEXT)) {
    return undefined;
  }
  const first = Math.min(size, area.size - offset);
  const before = diskBytes(volume, area.start + offset, first);
  const after = diskBytes(volume, area.start + AREA_HEADER, size - first);
  if (before === undefined || after === undefined) return undefined;
  const whole = Buffer.concat([before, after]).toString("latin1");
  return parseConfigText(whole.replace(/\0+$/, ""));
}
