import { existsSync } from "node:fs";
import { usageError } from "../base/errors.ts";
import { isElf } from "../formats/elf-core.ts";
import { foreignKind, SNIFF_SIZE } from "../formats/foreign.ts";
import { kdumpSignature } from "../formats/kdump.ts";
import { limeFormat } from "../formats/lime.ts";
import { isFlattened } from "../formats/makedumpfile-flat.ts";
import { isZstd } from "../formats/zstd-seekable.ts";
import type { ByteSource } from "./byte-source.ts";
import { changing, damaged, foreign } from "./dump-errors.ts";
import { DumpFile } from "./dump-file.ts";
import { DumpMemory } from "./dump-memory.ts";
import { openElf } from "./elf-dump.ts";
import { FlatFile } from "./flat-file.ts";
import { openKdump, refuseDiskdump } from "./kdump-dump.ts";
import type { KdumpOptions, KdumpPart } from "./kdump-dump.ts";
import { openLime } from "./lime-dump.ts";
import { openRaw } from "./raw-dump.ts";
import { SplitReader } from "./split-reader.ts";
import { ZstdFile } from "./zstd-file.ts";

export type OpenDumpOptions = {
  /** Take the file for a raw image, whatever it looks like. */
  readonly raw?: boolean;
  /**
   * Raw images only: RAM below the 4-GiB hole, where the hole was left out of the file. For a
   * QEMU guest larger than that it is 2 GiB on q35 and 3 GiB on pc, unless max-ram-below-4g says
   * otherwise (QEMU hw/i386/pc_q35.c, pc_piix.c).
   */
  readonly lowSize?: number;
  /** Open a truncated, damaged or changing file too; what is missing reads as a fault. */
  readonly salvage?: boolean;
  /** Take pages that were left out when the dump was made for zero, as crash --zero_excluded does. */
  readonly zeroExcluded?: boolean;
  /** The other parts of a dump that makedumpfile --split wrote. */
  readonly parts?: readonly string[];
};

/**
 * Opens a memory dump of a guest: ELF core (dump-guest-memory with and without paging,
 * makedumpfile -E, a copy of /proc/vmcore), kdump-compressed (zlib, lzo, snappy, zstd; plain,
 * flattened or split), LiME, AVML, or a raw image; ELF and kdump also packed as seekable Zstandard.
 * The format is told by content. Where there is no such file but its packed form, `PATH.zst`, that is
 * opened.
 *
 * Throws a KvmsecError: KVMSEC_DUMP_MISSING, _UNREADABLE, _NOT_A_FILE, _EMPTY, _FOREIGN,
 * _UNSUPPORTED, _TRUNCATED, _DAMAGED, _BEING_WRITTEN, _OPTIONS. Damage that shows later, inside a
 * page, is a fault and counted in `damagedPages`.
 */
export function openDump(path: string, options: OpenDumpOptions = {}): DumpMemory {
  checkOptions(options);
  using opened = new DisposableStack();
  const file = opened.use(new DumpFile(isPacked(path) ? `${path}.zst` : path));
  const memory = openByContent(file, options, opened);
  if (options.salvage !== true && file.changed()) throw changing(file);
  // From here on the memory closes the files.
  opened.move();
  return memory;
}

/** Whether only the packed form of a file is there, as in an evidence package that was compressed. */
function isPacked(path: string): boolean {
  return !existsSync(path) && existsSync(`${path}.zst`);
}

function checkOptions({ lowSize, parts, raw }: OpenDumpOptions): void {
  if (lowSize !== undefined && !(lowSize > 0 && lowSize <= 2 ** 32 && lowSize % 4096 === 0)) {
    throw usageError(
      "KVMSEC_DUMP_OPTIONS",
      "The size of low memory must be a number of whole pages up to 4 GiB.",
      "For QEMU guests it is 2 GiB on q35 and 3 GiB on pc.",
    );
  }
  if (parts !== undefined && (raw === true || lowSize !== undefined)) {
    throw usageError(
      "KVMSEC_DUMP_OPTIONS",
      "A raw image has no parts.",
      "Give other parts only with a kdump file of makedumpfile --split.",
    );
  }
}

function openByContent(
  file: DumpFile,
  options: OpenDumpOptions,
  opened: DisposableStack,
): DumpMemory {
  const salvage = options.salvage ?? false;
  const head = headOf(file);
  const raw = (forced: boolean): DumpMemory =>
    openRaw(file, { lowSize: options.lowSize, salvage, forced });
  if (options.raw === true) return raw(true);
  const memory = openWithHeader(file, head, options, opened);
  if (memory !== undefined) {
    if (options.lowSize === undefined) return memory;
    throw usageError(
      "KVMSEC_DUMP_OPTIONS",
      `${file.path} is no raw image, so it says itself where its memory lies.`,
      "Leave out the size of low memory.",
    );
  }
  const kind = foreignKind(head);
  if (kind !== undefined) throw foreign(file, kind.what, kind.hint);
  return raw(false);
}

/** Opens the formats that have a header; undefined for anything else. */
function openWithHeader(
  file: DumpFile,
  head: Uint8Array,
  options: OpenDumpOptions,
  opened: DisposableStack,
): DumpMemory | undefined {
  const salvage = options.salvage ?? false;
  const lime = limeFormat(head);
  if (lime !== undefined) return openLime(file, lime, salvage);
  const source = unwrapped(file, head, salvage);
  const start = source === file ? head : headOf(source);
  const dumpOptions = { salvage, zeroExcluded: options.zeroExcluded ?? false };
  if (isElf(start)) return openElf(file, source, dumpOptions);
  refuseDiskdump(file, start);
  if (kdumpSignature(start) === "kdump") {
    const first = openKdump(file, source, dumpOptions);
    const others = (options.parts ?? []).map((path) =>
      openPart(opened.use(new DumpFile(path)), dumpOptions),
    );
    return joinParts(file, [first, ...others]);
  }
  if (source === file) return undefined;
  throw damaged(file, "what is wrapped in it is neither ELF nor kdump");
}

/** What lies in a wrapping that was put around a whole dump. */
function unwrapped(file: DumpFile, head: Uint8Array, salvage: boolean): ByteSource {
  if (isFlattened(head)) return FlatFile.open(file, head, salvage);
  return (isZstd(head) ? ZstdFile.open(file) : undefined) ?? file;
}

function headOf(source: ByteSource): Uint8Array {
  const head = new Uint8Array(SNIFF_SIZE);
  return head.subarray(0, source.read(0, head));
}

function openPart(file: DumpFile, options: KdumpOptions): KdumpPart {
  const head = headOf(file);
  const source = isFlattened(head) ? FlatFile.open(file, head, options.salvage) : file;
  if (kdumpSignature(source === file ? head : headOf(source)) !== "kdump") {
    throw foreign(file, "no part of a split kdump file");
  }
  return openKdump(file, source, options);
}

function joinParts(file: DumpFile, parts: readonly KdumpPart[]): DumpMemory {
  const sorted = parts.toSorted((a, b) => a.from - b.from);
  if (sorted.some(({ from }, index) => index > 0 && from < sorted[index - 1].to)) {
    throw usageError(
      "KVMSEC_DUMP_OPTIONS",
      "The given parts hold the same pages: they are not parts of one split dump.",
      "Give each part of the dump once.",
    );
  }
  const [first] = parts;
  // One part alone may be empty: makedumpfile --split does that with small dumps.
  if (parts.every(({ reader }) => reader.ranges.length === 0)) {
    throw damaged(file, "it holds no memory");
  }
  return new DumpMemory(
    {
      path: file.path,
      kind: "kdump",
      notes: first.notes,
      incomplete: parts.some(({ incomplete }) => incomplete),
      excludedPages: parts.reduce((sum, { excludedPages }) => sum + excludedPages, 0),
    },
    parts.length === 1 ? first.reader : new SplitReader(sorted),
  );
}
