import { u16, u32 } from "./little-endian.ts";

/*
 * The classic pcap form (draft-ietf-opsawg-pcap), as QEMU's filter-dump writes it (net/dump.c): the
 * host's byte order, microseconds, Ethernet.
 */
const MAGIC = 0xa1b2c3d4;
export const PCAP_HEADER = 24;
const RECORD_HEADER = 16;
/** No packet is longer: QEMU cuts them at 64 KiB. */
export const MAX_PACKET = 2 ** 18;

/** What a file says at its start; undefined where it is none that QEMU writes. */
export function parsePcapHeader(
  bytes: Uint8Array,
): { readonly snapLength: number; readonly linkType: number } | undefined {
  if (bytes.length < PCAP_HEADER || u32(bytes, 0) !== MAGIC) return undefined;
  if (u16(bytes, 4) !== 2 || u16(bytes, 6) !== 4) return undefined;
  return { snapLength: u32(bytes, 16), linkType: u32(bytes, 20) };
}

/** A packet of a file. */
export type PcapRecord = {
  /** Where its header begins in the bytes that were given. */
  readonly at: number;
  /** Its time stamp, in microseconds since 1970. */
  readonly micros: number;
  /** The bytes that were kept of it. */
  readonly length: number;
};

/**
 * Gives each whole record to `take`. Returns how many bytes these were, and whether what follows can
 * be no record.
 */
export function eachRecord(
  bytes: Uint8Array,
  take: (record: PcapRecord) => void,
): { readonly used: number; readonly broken: boolean } {
  let at = 0;
  while (at + RECORD_HEADER <= bytes.length) {
    const length = u32(bytes, at + 8);
    const micros = u32(bytes, at + 4);
    if (length > MAX_PACKET || micros >= 1e6) return { used: at, broken: true };
    if (at + RECORD_HEADER + length > bytes.length) break;
    take({ at, micros: u32(bytes, at) * 1e6 + micros, length });
    at += RECORD_HEADER + length;
  }
  return { used: at, broken: false };
}

/** Writes another time stamp over a record's own. */
export function stampRecord(bytes: Uint8Array, at: number, micros: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  view.setUint32(at, Math.floor(micros / 1e6), true);
  view.setUint32(at + 4, micros % 1e6, true);
}
