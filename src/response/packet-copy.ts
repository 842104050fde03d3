import { closeSync, fstatSync, mkdirSync, openSync, readSync, writeSync } from "node:fs";
import { basename, join } from "node:path";
import { writeJson } from "../evidence/observations.ts";
import { eachRecord, parsePcapHeader, PCAP_HEADER, stampRecord } from "../formats/pcap.ts";
import { packetFiles } from "../vm/packet-files.ts";
import type { VmPaths } from "../vm/vm-state.ts";

/** Longer than any packet. */
const PIECE = 2 ** 20;
/** A shorter way between two clocks is the time that passes between a packet and its being written. */
const SAME_MICROS = 50_000;

/** A file of packets as it was at one moment. */
type Opened = {
  readonly name: string;
  readonly fd: number;
  readonly size: number;
  /** When its last packet was written, in microseconds since 1970. */
  readonly writtenAt: number;
};

/** What a package says of one file of packets. */
export type CopiedPackets = {
  readonly file: string;
  readonly packets: number;
  /** By the host's clock; null in a file without packets. */
  readonly from: string | null;
  readonly until: string | null;
  /** What was taken from the stamps that QEMU had given. */
  readonly shiftedBySeconds: number;
  /** Something else than packets follows, and was left out. */
  readonly broken: boolean;
};

/** A VM's packets, held open as they are at this moment; copied later. */
export class PacketCopy implements Disposable {
  readonly #opened: Opened[] = [];

  /** Quick: to be called while the guest stands still. What goes away meanwhile is left out. */
  open(paths: VmPaths): void {
    for (const { path, bytes } of packetFiles(paths)) {
      if (bytes === 0) continue;
      try {
        const fd = openSync(path, "r");
        const { size, mtimeMs } = fstatSync(fd);
        this.#opened.push({ name: basename(path), fd, size, writtenAt: mtimeMs * 1000 });
      } catch {
        // The oldest was just deleted to make room.
      }
    }
  }

  /**
   * Copies them to `packets/` of a package, and says in `packets.json` what they are. QEMU counts its
   * stamps from the moment at which it began to write, by the guest's clock since its start (net/dump.c),
   * so that they are too late by as long as the guest had run by then; they are put right by the time
   * at which the file's last packet was written.
   */
  copyTo(folder: string): readonly CopiedPackets[] {
    if (this.#opened.length === 0) return [];
    mkdirSync(join(folder, "packets"), { mode: 0o700 });
    const files = this.#opened.map((opened) => copy(opened, join(folder, "packets")));
    writeJson(join(folder, "packets.json"), { schema: "kvmsec.packet-files/1", files });
    return files;
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.#opened) closeSync(fd);
    this.#opened.length = 0;
  }
}

function copy(opened: Opened, folder: string): CopiedPackets {
  const { name, writtenAt } = opened;
  const whole = walk(opened, () => {});
  const late = Number.isNaN(whole.last) ? 0 : Math.round(whole.last - writtenAt);
  const shift = Math.abs(late) < SAME_MICROS ? 0 : late;
  const target = openSync(join(folder, name), "wx", 0o600);
  try {
    const header = readAt(opened, 0, PCAP_HEADER);
    writeSync(target, header);
    walk(opened, (bytes, records) => {
      for (const { at, micros } of shift === 0 ? [] : records) {
        stampRecord(bytes, at, Math.max(0, micros - shift));
      }
      writeSync(target, bytes);
    });
  } finally {
    closeSync(target);
  }
  return {
    file: `packets/${name}`,
    packets: whole.packets,
    from: timeText(whole.first - shift),
    until: timeText(whole.last - shift),
    shiftedBySeconds: shift / 1e6,
    broken: whole.broken,
  };
}

type Walked = {
  readonly packets: number;
  readonly first: number;
  readonly last: number;
  readonly broken: boolean;
};

/** Goes through a file's whole records, piece by piece. */
function walk(
  opened: Opened,
  take: (bytes: Uint8Array, records: readonly { at: number; micros: number }[]) => void,
): Walked {
  let [packets, first, last] = [0, Number.NaN, Number.NaN];
  if (parsePcapHeader(readAt(opened, 0, PCAP_HEADER)) === undefined) {
    return { packets, first, last, broken: opened.size > 0 };
  }
  for (let at = PCAP_HEADER; at < opened.size;) {
    const bytes = readAt(opened, at, PIECE);
    const records: { at: number; micros: number }[] = [];
    const { used, broken } = eachRecord(bytes, (record) => records.push(record));
    packets += records.length;
    first = Number.isNaN(first) ? (records[0]?.micros ?? Number.NaN) : first;
    last = records.at(-1)?.micros ?? last;
    take(bytes.subarray(0, used), records);
    if (broken) return { packets, first, last, broken };
    // A packet that was not written whole yet.
    if (used === 0) break;
    at += used;
  }
  return { packets, first, last, broken: false };
}

function readAt({ fd, size }: Opened, at: number, length: number): Buffer {
  const buffer = Buffer.alloc(Math.max(0, Math.min(length, size - at)));
  return buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, at));
}

function timeText(micros: number): string | null {
  return Number.isNaN(micros) ? null : new Date(micros / 1000).toISOString();
}
