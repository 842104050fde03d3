import type { DiskBytes } from "../disk/disk-bytes.ts";
import type { ConfigSection, ConfigValue } from "./config-text.ts";
import { readPhysicalVolume } from "./physical-volume.ts";
import type { PhysicalVolume } from "./physical-volume.ts";

/** A volume that LVM2 makes out of parts of others. */
export type LogicalVolume = {
  /** `group/name`. */
  readonly name: string;
  /** Undefined where it cannot be put together. */
  readonly bytes: DiskBytes | undefined;
  /** Why not. */
  readonly reason: string | undefined;
};

/** A stretch of a volume, and where it lies. */
type Piece = {
  readonly start: number;
  readonly size: number;
  readonly disk: DiskBytes;
  readonly at: number;
};

const SECTOR = 512;
const MAX_VOLUMES = 1024;
const MAX_SEGMENTS = 65_536;

/** Puts the volumes of all groups together, as far as they are linear. */
export function logicalVolumes(disks: readonly DiskBytes[]): LogicalVolume[] {
  const found = disks.flatMap((disk) => {
    const volume = readPhysicalVolume(disk);
    return volume === undefined ? [] : [{ disk, volume }];
  });
  const parts = new Map(found.map(({ disk, volume }) => [volume.id, disk]));
  return [...newestGroups(found.map(({ volume }) => volume))].flatMap(([name, group]) =>
    volumesOf(name, group, parts),
  );
}

/** Of each group the description with the highest number: an older one may be left on some disk. */
function newestGroups(volumes: readonly PhysicalVolume[]): Map<string, ConfigSection> {
  const groups = new Map<string, ConfigSection>();
  for (const { description } of volumes) {
    for (const [name, group] of description ?? []) {
      if (!isSection(group)) continue;
      const known = groups.get(name);
      if (known === undefined || number(group, "seqno") > number(known, "seqno")) {
        groups.set(name, group);
      }
    }
  }
  return groups;
}

function volumesOf(
  groupName: string,
  group: ConfigSection,
  disks: ReadonlyMap<string, DiskBytes>,
): LogicalVolume[] {
  const extent = number(group, "extent_size") * SECTOR;
  const places = new Map<string, { disk: DiskBytes | undefined; start: number }>();
  for (const [name, part] of sections(group, "physical_volumes")) {
    const id = String(part.get("id") ?? "").replaceAll("-", "");
    places.set(name, { disk: disks.get(id), start: number(part, "pe_start") * SECTOR });
  }
  return sections(group, "logical_volumes")
    .slice(0, MAX_VOLUMES)
    .filter(([, volume]) => isVisible(volume))
    .map(([name, volume]) => {
      const made = assemble(volume, extent, places);
      const isMade = typeof made === "object";
      return {
        name: `${groupName}/${name}`,
        bytes: isMade ? made : undefined,
        reason: isMade ? undefined : made,
      };
    });
}

function assemble(
  volume: ConfigSection,
  extent: number,
  places: ReadonlyMap<string, { disk: DiskBytes | undefined; start: number }>,
): DiskBytes | string {
  const count = number(volume, "segment_count");
  if (!(extent > 0) || !(count > 0 && count <= MAX_SEGMENTS)) return "its description is damaged";
  const pieces: Piece[] = [];
  for (let index = 1; index <= count; index++) {
    const segment = volume.get(`segment${index}`);
    if (!isSection(segment)) return "its description is damaged";
    const kind = segment.get("type");
    const stripes = segment.get("stripes");
    if (kind !== "striped" || number(segment, "stripe_count") !== 1 || !Array.isArray(stripes)) {
      return `it is an LVM volume of type ${String(kind)}, which is not read`;
    }
    const [name, from] = stripes as readonly (string | number)[];
    const place = places.get(String(name));
    if (place?.disk === undefined) return `a part of it is on ${String(name)}, which is not there`;
    pieces.push({
      start: number(segment, "start_extent") * extent,
      size: number(segment, "extent_count") * extent,
      disk: place.disk,
      at: place.start + Number(from) * extent,
    });
  }
  return new PieceDisk(pieces);
}

/** Pieces of disks, one behind the other. */
class PieceDisk implements DiskBytes {
  readonly size: number;
  readonly #pieces: readonly Piece[];

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces;
    this.size = pieces.reduce((end, { start, size }) => Math.max(end, start + size), 0);
  }

  read(position: number, target: Uint8Array): boolean {
    if (!(position >= 0 && position + target.length <= this.size)) return false;
    for (let done = 0; done < target.length;) {
      const from = position + done;
      const piece = this.#pieces.find(({ start, size }) => from >= start && from < start + size);
      if (piece === undefined) return false;
      const within = from - piece.start;
      const length = Math.min(target.length - done, piece.size - within);
      if (!piece.disk.read(piece.at + within, target.subarray(done, done + length))) return false;
      done += length;
    }
    return true;
  }
}

/** Parts of other volumes (mirrors' legs, pools' data) are not volumes that anybody sees. */
function isVisible(volume: ConfigSection): boolean {
  const status = volume.get("status");
  return Array.isArray(status) && (status as readonly unknown[]).includes("VISIBLE");
}

function sections(of: ConfigSection, name: string): [string, ConfigSection][] {
  const found = of.get(name);
  if (!isSection(found)) return [];
  return [...found].filter((entry): entry is [string, ConfigSection] => isSection(entry[1]));
}

function isSection(value: ConfigValue | undefined): value is ConfigSection {
  return value instanceof Map;
}

function number(of: ConfigSection, name: string): number {
  const value = of.get(name);
  return typeof value === "number" ? value : Number.NaN;
}
