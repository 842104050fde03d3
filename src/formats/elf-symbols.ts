import { elfData, SectionType } from "./elf.ts";
import type { Elf, ElfSection } from "./elf.ts";
import { SymbolTable } from "./symbol-table.ts";

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
  const entries: { at: number; name: number; letter: number; address: number }[] = [];
  for (let at = 0; at < count * ENTRY_SIZE; at += ENTRY_SIZE) {
    const letter = nmLetter(elf, view.getUint8(at + 4), view.getUint16(at + 6, true));
    const name = view.getUint32(at, true);
    if (letter === undefined || name >= names.length || names[name] === 0) continue;
    const address = view.getInt32(at + 12, true) * 2 ** 32 + view.getUint32(at + 8, true);
    entries.push({ at, name, letter: letter.charCodeAt(0), address });
  }
  entries.sort((a, b) => a.address - b.address || a.at - b.at);
  return pack(entries, names);
}

function pack(
  entries: readonly { name: number; letter: number; address: number }[],
  names: Uint8Array,
): SymbolTable {
  const chunks: Uint8Array[] = [];
  const nameOffsets = new Uint32Array(entries.length + 1);
  for (const [i, { name, letter }] of entries.entries()) {
    const field = names.subarray(name, name + MAX_NAME);
    const end = field.indexOf(0);
    const text = end < 0 ? field : field.subarray(0, end);
    chunks.push(Uint8Array.of(letter), text);
    nameOffsets[i + 1] = nameOffsets[i] + 1 + text.length;
  }
  return new SymbolTable({
    addresses: Float64Array.from(entries, ({ address }) => address),
    names: Buffer.concat(chunks),
    nameOffsets,
  });
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
