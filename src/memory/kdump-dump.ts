import { PAGE_SIZE } from "../base/address.ts";
import { dumpNotes, NO_NOTES, vmcoreinfoText } from "../formats/cpu-notes.ts";
import type { DumpNotes } from "../formats/cpu-notes.ts";
import {
  KDUMP_HEADER_SIZE,
  KDUMP_SUB_HEADER_SIZE,
  kdumpSignature,
  PAGE_DESCRIPTOR_SIZE,
  parseKdumpHeader,
  parseKdumpSubHeader,
} from "../formats/kdump.ts";
import type { KdumpHeader, KdumpSubHeader } from "../formats/kdump.ts";
import { readBytes } from "./byte-source.ts";
import type { ByteSource } from "./byte-source.ts";
import { damaged, truncated, unsupported } from "./dump-errors.ts";
import type { DumpFile } from "./dump-file.ts";
import { FrameBitmap } from "./kdump-bitmap.ts";
import { KdumpReader } from "./kdump-reader.ts";
import type { KdumpLayout } from "./kdump-reader.ts";

/** 256 MiB of bits are 8 TiB of memory. */
const MAX_BITMAP = 2 ** 28;
const MAX_NOTES = 2 ** 24;
/** makedumpfile -d 1: nothing but zero pages was left out. */
const ZERO_PAGES_ONLY = 1;

export type KdumpOptions = { readonly salvage: boolean; readonly zeroExcluded: boolean };

/** One kdump-compressed file, or one part of a split one. */
export type KdumpPart = {
  readonly reader: KdumpReader;
  readonly notes: DumpNotes;
  readonly incomplete: boolean;
  readonly excludedPages: number;
  readonly from: number;
  readonly to: number;
};

/** Opens a kdump-compressed file. `source` is the file, or what its flattened form stands for. */
export function openKdump(file: DumpFile, source: ByteSource, options: KdumpOptions): KdumpPart {
  const head = new Uint8Array(KDUMP_HEADER_SIZE);
  const main = parseKdumpHeader(head.subarray(0, source.read(0, head)));
  if (typeof main === "string") {
    throw source.size < KDUMP_HEADER_SIZE ? truncated(file, main) : damaged(file, main);
  }
  refuseOthers(file, main);
  const subBytes = readBytes(source, main.blockSize, KDUMP_SUB_HEADER_SIZE);
  if (subBytes === undefined) throw truncated(file, "its sub header is missing");
  const sub = parseKdumpSubHeader(subBytes, main);
  const layout = readLayout(file, source, main, sub, options);
  const reader = new KdumpReader(source, layout);
  if (!options.salvage && !main.incomplete) checkEnd(file, source, layout, reader);
  const { from, to, present, ram } = layout;
  const left = ram.rank(to) - ram.rank(from) - (present.rank(to) - present.rank(from));
  return {
    reader,
    notes: readNotes(source, sub),
    incomplete: main.incomplete,
    excludedPages: layout.excludedAreZero ? 0 : Math.max(0, left),
    from,
    to,
  };
}

/** Says why a file with one of the signatures cannot be read at all, before anything is parsed. */
function refuseOthers(file: DumpFile, main: KdumpHeader): void {
  if (main.machine !== "" && !/^(x86_64|i[3-6]86)$/.test(main.machine)) {
    const machine = JSON.stringify(main.machine);
    throw unsupported(file, `its machine is ${machine}`, "Only x86 guests are understood.");
  }
  if (main.blockSize !== PAGE_SIZE) {
    const reason = `its pages have ${main.blockSize} bytes`;
    throw unsupported(file, reason, "Only x86 guests are understood.");
  }
}

/** The diskdump format went before kdump's and has another layout. */
export function refuseDiskdump(file: DumpFile, head: Uint8Array): void {
  if (kdumpSignature(head) !== "diskdump") return;
  throw unsupported(
    file,
    "it has the old diskdump format of Linux 2.6",
    "Convert it with the tool that made it, or use the ELF format.",
  );
}

function readLayout(
  file: DumpFile,
  source: ByteSource,
  main: KdumpHeader,
  sub: KdumpSubHeader,
  options: KdumpOptions,
): KdumpLayout {
  const half = main.bitmapSize / 2;
  if (half > MAX_BITMAP) throw damaged(file, `its bitmaps claim ${main.bitmapSize} bytes`);
  const first = readBytes(source, main.bitmapAt, half);
  const second = readBytes(source, main.bitmapAt + half, half);
  if (first === undefined || second === undefined) {
    throw truncated(file, "it ends inside its bitmaps");
  }
  const present = new FrameBitmap(second, sub.maxPfn);
  const from = Math.min(sub.split?.start ?? 0, present.frames);
  return {
    present,
    ram: new FrameBitmap(first, sub.maxPfn),
    excludedAreZero: options.zeroExcluded || sub.dumpLevel === ZERO_PAGES_ONLY,
    descriptorsAt: main.descriptorsAt,
    from,
    to: Math.max(from, Math.min(sub.split?.end ?? present.frames, present.frames)),
  };
}

function checkEnd(
  file: DumpFile,
  source: ByteSource,
  { present, from, to, descriptorsAt }: KdumpLayout,
  reader: KdumpReader,
): void {
  const pages = present.rank(to) - present.rank(from);
  if (descriptorsAt + pages * PAGE_DESCRIPTOR_SIZE > source.size) {
    throw truncated(file, "it ends inside its page descriptors");
  }
  if (reader.dataEnd() > source.size)
    throw truncated(file, "the data of its last pages is missing");
}

function readNotes(source: ByteSource, { notes, vmcoreinfo }: KdumpSubHeader): DumpNotes {
  const section = notes.size > 0 && notes.size <= MAX_NOTES ? notes : undefined;
  const bytes = section && readBytes(source, section.at, section.size);
  const found = bytes === undefined ? NO_NOTES : dumpNotes(bytes);
  if (found.vmcoreinfo !== undefined || vmcoreinfo.size === 0) return found;
  // makedumpfile keeps it in a place of its own where the notes have none.
  const content =
    vmcoreinfo.size <= MAX_NOTES ? readBytes(source, vmcoreinfo.at, vmcoreinfo.size) : undefined;
  return content === undefined ? found : { ...found, vmcoreinfo: vmcoreinfoText(content) };
}
