import { parseBtf } from "./btf.ts";
import { allElfNotes, elfSection, gnuBuildId, parseElf } from "./elf.ts";
import { parseIsf } from "./isf.ts";
import { elfKernelSymbols } from "./symbol-file.ts";
import type { SymbolTable } from "./symbol-table.ts";
import type { TypeSource } from "./type-source.ts";
import { unpackFile } from "./unpack.ts";

/** What a file that somebody gives for a kernel without BTF tells of it. */
export type TypeFile = {
  readonly format: "btf" | "elf" | "isf";
  readonly types: TypeSource;
  /** At link addresses; undefined where the file has none. */
  readonly symbols: SymbolTable | undefined;
  /** Which kernel it belongs to, as far as the file says. */
  readonly buildId: string | undefined;
  readonly banner: string | undefined;
};

export type TypeFileResult =
  | { readonly ok: true; readonly file: TypeFile }
  | { readonly ok: false; readonly reason: string };

const MAX_SIZE = 1024 * 1024 * 1024;

/**
 * Reads raw BTF (`/sys/kernel/btf/vmlinux`), an ELF kernel or object with a .BTF section, or a
 * Volatility symbol file; any of them may be compressed with gzip, zstd or xz.
 */
export function parseTypeFile(packed: Uint8Array): TypeFileResult {
  const unpacked = unpackFile(packed, MAX_SIZE);
  if (!unpacked.ok) return unpacked;
  const { bytes } = unpacked;
  if (bytes[0] === 0x9f && bytes[1] === 0xeb) return fromBtf(bytes, "btf");
  if (Buffer.from(bytes.subarray(0, 4)).equals(Buffer.from("\x7fELF"))) return fromElf(bytes);
  if (/^\s*\{/.test(Buffer.from(bytes.subarray(0, 64)).toString("latin1"))) return fromIsf(bytes);
  return { ok: false, reason: "neither BTF, nor an ELF file, nor a Volatility symbol file" };
}

function fromBtf(
  bytes: Uint8Array,
  format: "btf" | "elf",
  more?: Partial<TypeFile>,
): TypeFileResult {
  const parsed = parseBtf(bytes);
  if (!parsed.ok) return { ok: false, reason: `BTF: ${parsed.reason}` };
  const nothing = { symbols: undefined, buildId: undefined, banner: undefined };
  return { ok: true, file: { format, types: parsed.btf, ...nothing, ...more } };
}

function fromElf(bytes: Uint8Array): TypeFileResult {
  const parsed = parseElf(bytes);
  if (!parsed.ok) return { ok: false, reason: `ELF: ${parsed.reason}` };
  const section = elfSection(bytes, parsed.elf, ".BTF");
  if (section === undefined) {
    return {
      ok: false,
      reason: "the ELF file has no .BTF section (pahole -J adds one from DWARF)",
    };
  }
  return fromBtf(section, "elf", {
    symbols: elfKernelSymbols(bytes, parsed.elf),
    buildId: gnuBuildId(allElfNotes(bytes, parsed.elf)),
  });
}

function fromIsf(bytes: Uint8Array): TypeFileResult {
  const parsed = parseIsf(bytes);
  if (!parsed.ok) return { ok: false, reason: `symbol file: ${parsed.reason}` };
  const { isf } = parsed;
  const file = {
    format: "isf" as const,
    types: isf,
    buildId: undefined,
    banner: isf.banner,
    /** Made when asked for: a kernel's file has 110,000. */
    get symbols() {
      return isf.symbols.size === 0 ? undefined : isf.symbols;
    },
  };
  return { ok: true, file };
}
