import { elfData, parseElf, ElfType } from "./elf.ts";
import type { Elf, ElfSection } from "./elf.ts";
import { text } from "./little-endian.ts";

/** Elf64_Sym, without what nobody asks for. */
export type ElfSymbol = {
  readonly name: string;
  /** Index of its section, or one of the special indexes. */
  readonly section: number;
  /** It may be missing; its address is then 0. */
  readonly weak: boolean;
  /** Distance from its section's start; the value itself where it is absolute. */
  readonly value: number;
};

/** Elf64_Rela: what to write where. */
export type ElfRelocation = {
  readonly offset: number;
  /** R_X86_64_* */
  readonly type: number;
  readonly symbol: number;
  readonly addend: number;
};

/** An object file: a kernel module as it lies on disk. */
export type Relocatable = {
  readonly elf: Elf;
  readonly symbols: readonly ElfSymbol[];
  /** Those that change a section, given by its index. Read anew at each call: they may be many. */
  readonly relocations: (section: number) => Iterable<ElfRelocation>;
};

export const SectionIndex = { UNDEF: 0, RESERVED: 0xff00, ABS: 0xfff1 } as const;
export const SectionFlag = { WRITE: 1, ALLOC: 2, EXECUTE: 4 } as const;

const SHT_SYMTAB = 2;
const SHT_RELA = 4;
const STB_WEAK = 2;
const SYMBOL_SIZE = 24;
const RELOCATION_SIZE = 24;
const MAX_SYMBOLS = 1 << 18;
const MAX_NAME = 512;

/** Reads an ELF object file with its symbols and relocations (System V ABI, "Relocation"). */
export function parseRelocatable(
  bytes: Uint8Array,
): { ok: true; file: Relocatable } | { ok: false; reason: string } {
  const parsed = parseElf(bytes);
  if (!parsed.ok) return parsed;
  const { elf } = parsed;
  if (elf.type !== ElfType.REL) return { ok: false, reason: "it is no relocatable ELF file" };
  const symbols = readSymbols(bytes, elf);
  if (symbols === undefined) return { ok: false, reason: "it has no symbol table" };
  const tables = Map.groupBy(
    elf.sections.filter(({ type }) => type === SHT_RELA),
    ({ info }) => info,
  );
  const relocations = function* (section: number): Generator<ElfRelocation> {
    for (const table of tables.get(section) ?? []) yield* readRelocations(bytes, table);
  };
  return { ok: true, file: { elf, symbols, relocations } };
}

function readSymbols(bytes: Uint8Array, elf: Elf): ElfSymbol[] | undefined {
  const section = elf.sections.find(({ type }) => type === SHT_SYMTAB);
  const data = section && elfData(bytes, section);
  const strings = section && elf.sections[section.link];
  const names = strings && elfData(bytes, strings);
  if (data === undefined || names === undefined) return undefined;
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const count = Math.min(Math.floor(data.length / SYMBOL_SIZE), MAX_SYMBOLS);
  return Array.from({ length: count }, (_, index) => {
    const at = index * SYMBOL_SIZE;
    const nameAt = view.getUint32(at, true);
    return {
      name: nameAt < names.length ? text(names, nameAt, MAX_NAME) : "",
      section: view.getUint16(at + 6, true),
      weak: view.getUint8(at + 4) >>> 4 === STB_WEAK,
      value: view.getInt32(at + 12, true) * 2 ** 32 + view.getUint32(at + 8, true),
    };
  });
}

function* readRelocations(bytes: Uint8Array, section: ElfSection): Generator<ElfRelocation> {
  const data = elfData(bytes, section);
  if (data === undefined) return;
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  for (let at = 0; at + RELOCATION_SIZE <= data.length; at += RELOCATION_SIZE) {
    yield {
      offset: view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true),
      type: view.getUint32(at + 8, true),
      symbol: view.getUint32(at + 12, true),
      addend: view.getInt32(at + 20, true) * 2 ** 32 + view.getUint32(at + 16, true),
    };
  }
}
