import { allElfNotes, gnuBuildId, parseElf } from "./elf.ts";
import type { Elf } from "./elf.ts";
import { readElfSymbols } from "./elf-symbols.ts";
import { parseIsf } from "./isf.ts";
import { symbolTableOf } from "./symbol-list.ts";
import type { SymbolEntry, SymbolTable } from "./symbol-table.ts";
import { unpackFile } from "./unpack.ts";

/** The symbols of a kernel's build, and which kernel they belong to as far as the file says. */
export type SymbolFile = {
  /** At link addresses. */
  readonly symbols: SymbolTable;
  readonly buildId: string | undefined;
  readonly banner: string | undefined;
};

export type SymbolFileResult =
  | { readonly ok: true; readonly file: SymbolFile }
  | { readonly ok: false; readonly reason: string };

const MAX_SIZE = 1024 * 1024 * 1024;
const MAX_SYMBOLS = 1 << 21;
const MAP_LINE = /^([0-9a-f]{16}) ([A-Za-z?]) (\S{1,512})$/gm;

/**
 * Reads a kernel's `vmlinux` with its symbol table, its `System.map`, or a Volatility symbol file;
 * any of them may be compressed with gzip, zstd or xz.
 */
export function parseSymbolFile(packed: Uint8Array): SymbolFileResult {
  const unpacked = unpackFile(packed, MAX_SIZE);
  if (!unpacked.ok) return unpacked;
  const { bytes } = unpacked;
  const start = Buffer.from(bytes.subarray(0, 64)).toString("latin1");
  if (start.startsWith("\x7fELF")) return fromElf(bytes);
  if (/^\s*\{/.test(start)) return fromIsf(bytes);
  if (/^[0-9a-f]{16} /.test(start)) return fromMap(bytes);
  return fail("neither an ELF file, nor a System.map, nor a Volatility symbol file");
}

function fail(reason: string): SymbolFileResult {
  return { ok: false, reason };
}

function fromElf(bytes: Uint8Array): SymbolFileResult {
  const parsed = parseElf(bytes);
  if (!parsed.ok) return fail(`ELF: ${parsed.reason}`);
  const symbols = elfKernelSymbols(bytes, parsed.elf);
  if (symbols === undefined) return fail("the ELF file was stripped of its symbols");
  const buildId = gnuBuildId(allElfNotes(bytes, parsed.elf));
  return { ok: true, file: { symbols, buildId, banner: undefined } };
}

/** Those of a kernel's ELF file that kallsyms would have; undefined where it has no symbol table. */
export function elfKernelSymbols(bytes: Uint8Array, elf: Elf): SymbolTable | undefined {
  const symbols = readElfSymbols(bytes, elf);
  return symbols && asInKallsyms([...symbols]);
}

function fromIsf(bytes: Uint8Array): SymbolFileResult {
  const parsed = parseIsf(bytes);
  if (!parsed.ok) return fail(`symbol file: ${parsed.reason}`);
  const { symbols, banner } = parsed.isf;
  if (symbols.size === 0) return fail("the symbol file names no symbols");
  return { ok: true, file: { symbols, buildId: undefined, banner } };
}

/** Lines as `nm -n` prints them (scripts/mksysmap); any other line is passed over. */
function fromMap(bytes: Uint8Array): SymbolFileResult {
  const entries: SymbolEntry[] = [];
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
  for (const [, address, type, name] of text.matchAll(MAP_LINE)) {
    if (entries.length >= MAX_SYMBOLS) return fail("it has more symbols than any kernel");
    entries.push({ name, type, address: signed(address) });
  }
  return {
    ok: true,
    file: { symbols: asInKallsyms(entries), buildId: undefined, banner: undefined },
  };
}

function signed(hex: string): number {
  const high = Number.parseInt(hex.slice(0, 8), 16) | 0;
  return high * 2 ** 32 + Number.parseInt(hex.slice(8), 16);
}

/** What scripts/mksysmap leaves out: labels, checksums and strings of exports, type identifiers. */
const NO_NAME = /^(?:\$|\.L|__crc_|__kstrtab_|__kstrtabns_|__kcfi_typeid_)/;
const NO_PLACE = "aNUw";

/** Only what kallsyms would have, and of several names for a place the best one first. */
function asInKallsyms(entries: readonly SymbolEntry[]): SymbolTable {
  const kept = entries.filter(({ name, type }) => !NO_PLACE.includes(type) && !NO_NAME.test(name));
  return symbolTableOf(kept.toSorted((a, b) => a.address - b.address || byWorth(a, b)));
}

/** As `compare_symbols` of scripts/kallsyms.c: strong before weak, fewer underscores before more. */
function byWorth(a: SymbolEntry, b: SymbolEntry): number {
  const weak = Number(/[wW]/.test(a.type)) - Number(/[wW]/.test(b.type));
  return weak || underscores(a.name) - underscores(b.name);
}

function underscores(name: string): number {
  return name.length - name.replace(/^_+/, "").length;
}
