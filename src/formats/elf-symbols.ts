import { elfData, SectionType } from "./elf.ts";
import type { Elf, ElfSection } from "./elf.ts";
import { text } from "./little-endian.ts";
import { symbolTableOf } from "./symbol-list.ts";
import type { SymbolEntry, SymbolTable } from "./symbol-table.ts";

const ENTRY_SIZE = 24;
const SHN_UNDEF = 0;
const SHN_ABS = 0xfff1;
const SHT_SYMTAB = 2;
const STT_SECTION = 3;
const STT_FILE = 4;
const STB_LOCAL = 0;
const STB_WEAK = 2;
const SHF_WRITE = 1;
const SHF_EXECINSTR = 4;
const MAX_SYMBOLS = 1 << 21;
const MAX_NAME = 512;

/**
 * The symbols of an ELF file with letters as nm prints them, ascending; undefined where it has no
 * symbol table (.symtab). Addresses become signed.
 */
export function readElfSymbols(bytes: Uint8Array, elf: Elf): SymbolTable | undefined {
  const section = elf.sections.find(({ type }) => type === SHT_SYMTAB);
  const data = section && elfData(bytes, section);
  const strings = section && elf.sections[section.link];
  const names = strings && elfData(bytes, strings);
  if (data === undefined || names === undefined) return undefined;
  const count = Math.min(Math.floor(data.length / ENTRY_SIZE), MAX_SYMBOLS);
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  const entries: SymbolEntry[] = [];
  for (let at = 0; at < count * ENTRY_SIZE; at += ENTRY_SIZE) {
    const type = nmLetter(elf, view.getUint8(at + 4), view.getUint16(at + 6, true));
    const nameAt = view.getUint32(at, true);
    if (type === undefined || nameAt >= names.length || names[nameAt] === 0) continue;
    const address = view.getInt32(at + 12, true) * 2 ** 32 + view.getUint32(at + 8, true);
    entries.push({ name: text(names, nameAt, MAX_NAME), type, address });
  }
  return symbolTableOf(entries);
}

/** Undefined for what names no place: undefined symbols, files, sections. */
function nmLetter(elf: Elf, info: number, index: number): string | undefined {
  const type = info & 0xf;
  if (index === SHN_UNDEF || type === STT_SECTION || type === STT_FILE) return undefined;
  if (info >> 4 === STB_WEAK) return type === 1 ? "V" : "W";
  const letter = index === SHN_ABS ? "A" : sectionLetter(elf.sections[index]);
  return info >> 4 === STB_LOCAL ? letter.toLowerCase() : letter;
}

function sectionLetter(section: ElfSection | undefined): string {
  if (section === undefined) return "?";
  if ((section.flags & SHF_EXECINSTR) !== 0) return "T";
  if (section.type === SectionType.NOBITS) return "B";
  return (section.flags & SHF_WRITE) !== 0 ? "D" : "R";
}
