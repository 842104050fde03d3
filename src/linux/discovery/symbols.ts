import { KvmsecError } from "../../base/errors.ts";
import { findKallsyms } from "../../formats/kallsyms.ts";
import type { KallsymsCandidate } from "../../formats/kallsyms.ts";
import type { SymbolFile } from "../../formats/symbol-file.ts";
import type { SymbolTable } from "../../formats/symbol-table.ts";
import type { PhysicalMemory } from "../../memory/physical-memory.ts";
import { placeSymbols, slide } from "./given-symbols.ts";
import type { ImageWords } from "./given-symbols.ts";
import { buildIdNotes, ownBuildId } from "./identity.ts";
import type { KernelImage } from "./kernel-image.ts";
import type { KnownImage } from "./known-kernels.ts";
import type { SymbolCache } from "./symbol-cache.ts";
import { packSymbols, unpackSymbols } from "./symbol-proof.ts";
import type { ReadImage } from "./symbol-proof.ts";

const BANNER = Buffer.from("Linux version ");
const BANNER_NAME = "linux_banner";

export type LoadedSymbols = { readonly symbols: SymbolTable; readonly buildId: string | undefined };

/**
 * Symbols of an image that was decoded before, `proved` where its memory holds the very table that
 * they come from; undefined where they do not fit it at all.
 */
export function knownSymbols(
  memory: PhysicalMemory,
  { image, kernel }: KnownImage,
  cache: SymbolCache,
): (LoadedSymbols & { readonly proved: boolean }) | undefined {
  const stored = cache.load(kernel);
  const read: ReadImage = (offset, length) =>
    offset + length <= image.size ? memory.bytes(image.physical + offset, length) : undefined;
  const unpacked = stored === undefined ? undefined : unpackSymbols(stored, read);
  if (unpacked === undefined) return undefined;
  const symbols = slide(unpacked.table, image.virtual);
  if (!fits(read, image, symbols)) return undefined;
  return { symbols, buildId: kernel.buildId, proved: unpacked.proved };
}

export type DecodeOptions = {
  readonly cache?: SymbolCache | undefined;
  /** For a kernel whose own table lacks variables, or that has none. */
  readonly given?: SymbolFile | undefined;
};

/**
 * Decodes an image's kallsyms, and keeps them; where they are not all there, places the given
 * symbols. Throws KVMSEC_SYMBOLS_NOT_FOUND and KVMSEC_SYMBOLS_FOREIGN.
 */
export function decodeSymbols(
  bytes: Uint8Array,
  image: KernelImage,
  { cache, given }: DecodeOptions = {},
): LoadedSymbols {
  const found = findKallsyms(bytes, image.virtual, {
    confirm: (name, address) => (name === "_text" ? address === image.virtual : undefined),
  });
  // A second consistent table is somebody's forgery: it has to name this image's landmarks, and the
  // kernel's own lies in its constant data, which no one can write to.
  const read: ReadImage = (offset, length) =>
    offset + length <= bytes.length ? bytes.subarray(offset, offset + length) : undefined;
  const candidates = found.ok ? found.candidates : [];
  const fitting = candidates.filter(({ table }) => fits(read, image, table));
  const notes = buildIdNotes(bytes, image.virtual);
  if (fitting.length === 0 && given !== undefined) {
    return placeGiven(given, { start: image.virtual, notes, tables: candidates, read });
  }
  if (!found.ok) throw notFound(found.reason);
  if (fitting.length === 0 && candidates.some(holdsCodeOnly)) throw codeOnly();
  const own = fitting.length > 1 ? fitting.filter((each) => liesInRodata(each, image)) : fitting;
  if (own.length !== 1) {
    throw notFound(`${fitting.length} of ${candidates.length} tables fit the image`);
  }
  const symbols = own[0].table;
  const note = ownBuildId(symbols, notes);
  if (note === undefined) return { symbols, buildId: undefined };
  const known = {
    buildId: note.id,
    buildIdOffset: note.address - image.virtual,
    level3Offset: image.level3 - image.physical,
  };
  const packed = cache === undefined ? undefined : packSymbols(own[0], read);
  if (packed !== undefined) cache?.store(known, packed);
  return { symbols, buildId: note.id };
}

function placeGiven(given: SymbolFile, image: ImageWords): LoadedSymbols {
  const symbols = placeSymbols(given, image);
  if (typeof symbols !== "string") {
    return { symbols, buildId: ownBuildId(symbols, image.notes)?.id };
  }
  throw new KvmsecError(
    "KVMSEC_SYMBOLS_FOREIGN",
    `The given symbols are not those of the guest's kernel: ${symbols}.`,
    { hint: "Give the vmlinux or System.map of the very build that the guest runs." },
  );
}

/** Without CONFIG_KALLSYMS_ALL: the variables that lead to everything have no names. */
function holdsCodeOnly({ table }: KallsymsCandidate): boolean {
  return Number.isNaN(table.address(BANNER_NAME)) && !Number.isNaN(table.address("_stext"));
}

function codeOnly(): KvmsecError {
  return new KvmsecError(
    "KVMSEC_SYMBOLS_NOT_FOUND",
    "A kernel was found whose symbol table names functions only, and no variables.",
    {
      hint: "It was built without CONFIG_KALLSYMS_ALL; give --symbols with the System.map or the vmlinux of its build.",
    },
  );
}

function notFound(reason: string): KvmsecError {
  return new KvmsecError(
    "KVMSEC_SYMBOLS_NOT_FOUND",
    `A kernel image was found, but not its symbol table (step: ${reason}).`,
    {
      hint: "The guest may be booting right now; otherwise its kernel was built without KALLSYMS: give --symbols with the vmlinux of its build.",
    },
  );
}

/** A table is this image's where its landmarks are: the image's start and the banner's text. */
function fits(read: ReadImage, image: KernelImage, symbols: SymbolTable): boolean {
  if (symbols.address("_text") !== image.virtual) return false;
  const at = symbols.address(BANNER_NAME) - image.virtual;
  if (!(at > 0 && at + BANNER.length <= image.size)) return false;
  const banner = read(at, BANNER.length);
  return banner !== undefined && BANNER.equals(banner);
}

/** By what the table says itself; a forgery that lies about that too is as good as the real one. */
function liesInRodata({ table, layout }: KallsymsCandidate, image: KernelImage): boolean {
  const start = table.address("__start_rodata") - image.virtual;
  const end = table.address("__end_rodata") - image.virtual;
  return [layout.names, layout.tokenTable].every((at) => at >= start && at < end);
}
