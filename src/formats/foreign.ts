import { u16, u32 } from "./little-endian.ts";

/** Bytes from a file's start that tell most other kinds of file. */
export const SNIFF_SIZE = 65_536;

export type Foreign = {
  /** What the file is, to follow “is”. */
  readonly what: string;
  /** What could be done about it. */
  readonly hint?: string;
};

const decompress = (tool: string): string => `Decompress it first, with ${tool}.`;

/** Magic bytes at the start of files that are no memory dump that can be read here. */
const MAGICS: readonly (Foreign & { readonly magic: string; readonly at?: number })[] = [
  { magic: "1f8b08", what: "gzip-compressed", hint: decompress("gzip -dk") },
  { magic: "fd377a585a00", what: "xz-compressed", hint: decompress("xz -dk") },
  { magic: "28b52ffd", what: "zstd-compressed", hint: decompress("zstd -d") },
  { magic: "425a68", what: "bzip2-compressed", hint: decompress("bzip2 -dk") },
  { magic: "04224d18", what: "lz4-compressed", hint: decompress("lz4 -d") },
  { magic: "377abcaf271c", what: "a 7-Zip archive", hint: "Unpack it first." },
  { magic: "504b0304", what: "a ZIP archive", hint: "Unpack it first." },
  { magic: "7573746172", at: 257, what: "a tar archive", hint: "Unpack it first." },
  {
    magic: "5041474544553634",
    what: "a Windows crash dump",
    hint: "Only Linux guests are understood; dump-guest-memory -w made it, leave out the -w.",
  },
  { magic: "5041474544554d50", what: "a 32-bit Windows crash dump" },
  { magic: "4d5a", what: "a Windows or EFI executable" },
  { magic: "cffaedfe", what: "a Mach-O file" },
  {
    magic: "514649fb",
    what: "a qcow2 disk image",
    hint: "Give a memory dump: dump-guest-memory makes one from the running guest.",
  },
  { magic: "4b444d56", what: "a VMDK disk image" },
  { magic: "7668647866696c65", what: "a VHDX disk image" },
  {
    magic: "5145564d",
    what: "a QEMU migration stream",
    hint: "Start a QEMU with -incoming from it, then point kvmsec at that QEMU.",
  },
  {
    magic: "4c6962766972745165",
    what: "a libvirt save file",
    hint: "Restore the domain, or use `virsh dump --memory-only`.",
  },
  { magic: "5d1d9b3e", what: "a VMware snapshot state", hint: "Give the .vmem file beside it." },
  { magic: "d2bed2be", what: "a VMware snapshot state", hint: "Give the .vmem file beside it." },
  { magic: "53514c69746520666f726d6174", what: "an SQLite database" },
  { magic: "25504446", what: "a PDF document" },
];

/** Says what a file is, judged by its first bytes, if it is a known kind that holds no memory. */
export function foreignKind(head: Uint8Array): Foreign | undefined {
  for (const { magic, at = 0, ...foreign } of MAGICS) {
    const bytes = Buffer.from(magic, "hex");
    if (bytes.equals(head.subarray(at, at + bytes.length))) return foreign;
  }
  if (isDisk(head)) {
    return {
      what: "a raw disk image",
      hint: "Give a memory dump: dump-guest-memory makes one from the running guest.",
    };
  }
  return isText(head) ? { what: "a text file" } : undefined;
}

/**
 * True where every sampled page is as even as random, encrypted or compressed bytes are. Pages
 * of a machine's memory hold runs of zeros nearly everywhere; evenly random ones hold 16 zero
 * bytes of 4,096, and more than 64 practically never.
 */
export function looksRandom(pages: Iterable<Uint8Array>): boolean {
  for (const page of pages) {
    let zeros = 0;
    for (const byte of page) if (byte === 0) zeros++;
    if (zeros > 64) return false;
  }
  return true;
}

/**
 * A boot sector with code, or an ext file system behind an empty first kilobyte. A PC's page 0
 * holds interrupt vectors there, which end in neither mark.
 */
function isDisk(head: Uint8Array): boolean {
  if (head.length < 2048) return false;
  const bootSector = u16(head, 510) === 0xaa55 && (head[0] === 0xeb || u32(head, 446) !== 0);
  const gpt = Buffer.from("EFI PART").equals(head.subarray(512, 520));
  const ext = u16(head, 1024 + 56) === 0xef53 && head.subarray(0, 1024).every((byte) => byte === 0);
  return bootSector || gpt || ext;
}

function isText(head: Uint8Array): boolean {
  const sample = head.subarray(0, 4096);
  return (
    sample.length > 0 &&
    sample.every(
      (byte) => (byte >= 0x20 && byte < 0x7f) || byte === 0x0a || byte === 0x0d || byte === 9,
    )
  );
}
