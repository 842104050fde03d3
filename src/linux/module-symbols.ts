import type { GuestVirtual } from "../base/address.ts";
import { SymbolTable } from "../formats/symbol-table.ts";
import type { AddressRange } from "./address-ranges.ts";
import type { Kernel } from "./kernel.ts";
import type { Reader } from "./member-reader.ts";

/** Elf64_Sym (System V gABI): st_name u32, st_info, st_other u8, st_shndx u16, st_value, st_size u64. */
const SYMBOL_SIZE = 24;
const VALUE = 8;
const SIZE = 16;
/** Letters of nm: data, constant data and what begins as zeros. */
const VARIABLE: ReadonlySet<number> = new Set(Buffer.from("dDrRbB"));
const MAX_VARIABLE = 2 ** 24;
/** amdgpu, the largest module, has under 50,000 on 6.12. */
const MAX_SYMBOLS = 1 << 18;
const MAX_STRINGS = 32 * 2 ** 20;
/** KSYM_NAME_LEN since 6.1; names that are longer do not occur. */
const MAX_NAME = 512;

/** What EXPORT_SYMBOL calls its entry for NAME (include/linux/export-internal.h). */
const EXPORT_PREFIX = "__ksymtab_";

type Parts = {
  readonly symbols: Uint8Array<ArrayBuffer>;
  readonly strings: Uint8Array;
  readonly types: Uint8Array;
};

/**
 * Reads the symbols that a module brought along (`struct mod_kallsyms`, kernel/module/kallsyms.c):
 * the same that /proc/kallsyms shows with the module's name behind them.
 */
export class ModuleSymbols {
  readonly #kernel: Kernel;
  readonly #kallsyms: Reader;
  readonly #symtab: Reader;
  readonly #count: Reader;
  readonly #strtab: Reader;
  readonly #typetab: Reader;
  readonly #syms: Reader;
  readonly #symsCount: Reader;
  readonly #entrySize: number;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#kallsyms = kernel.readerOrFault("module", "kallsyms");
    this.#symtab = kernel.readerOrFault("mod_kallsyms", "symtab");
    this.#count = kernel.readerOrFault("mod_kallsyms", "num_symtab");
    this.#strtab = kernel.readerOrFault("mod_kallsyms", "strtab");
    this.#typetab = kernel.readerOrFault("mod_kallsyms", "typetab");
    this.#syms = kernel.readerOrFault("module", "syms");
    this.#symsCount = kernel.readerOrFault("module", "num_syms");
    this.#entrySize =
      kernel.types.struct("kernel_symbol") === 0 ? 0 : kernel.types.size("kernel_symbol");
  }

  /** Its symbols by address, or undefined where they cannot be read. */
  of(module: GuestVirtual): SymbolTable | undefined {
    const parts = this.#read(this.#kallsyms(module));
    if (parts === undefined) return undefined;
    const start = this.#syms(module);
    const end = start + this.#symsCount(module) * this.#entrySize;
    return tableOf(this.#kernel, parts, { start, end });
  }

  /**
   * Where its variables lie, constant ones too, by what their symbols say: what is between them and
   * behind them may be left of whoever had the memory before.
   */
  variables(module: GuestVirtual): AddressRange[] {
    const parts = this.#read(this.#kallsyms(module));
    if (parts === undefined) return [];
    const words = new Uint32Array(parts.symbols.buffer);
    return Array.from(parts.types, (type, index) => {
      const at = (index * SYMBOL_SIZE) / 4;
      const { folding } = this.#kernel.space;
      const start = folding.fold(words[at + VALUE / 4], words[at + VALUE / 4 + 1]);
      const size = VARIABLE.has(type) ? words[at + SIZE / 4] : 0;
      return { start, end: start + Math.min(size, MAX_VARIABLE) };
    }).filter(({ start, end }) => end > start);
  }

  #read(kallsyms: GuestVirtual): Parts | undefined {
    const { space } = this.#kernel;
    const count = this.#count(kallsyms);
    if (!(count > 0 && count <= MAX_SYMBOLS)) return undefined;
    const symbols = space.bytes(this.#symtab(kallsyms), count * SYMBOL_SIZE);
    const types = space.bytes(this.#typetab(kallsyms), count);
    if (symbols === undefined || types === undefined) return undefined;
    const words = new Uint32Array(symbols.buffer);
    let last = 0;
    for (let at = 0; at < words.length; at += SYMBOL_SIZE / 4) last = Math.max(last, words[at]);
    if (last >= MAX_STRINGS) return undefined;
    // Nothing says how long the strings are; what follows the last one is cut at its NUL.
    const strings = new Uint8Array(last + MAX_NAME);
    const read = space.copy(this.#strtab(kallsyms), strings);
    return read <= last ? undefined : { symbols, types, strings: strings.subarray(0, read) };
  }
}

function tableOf(
  kernel: Kernel,
  { symbols, strings, types }: Parts,
  exported: AddressRange,
): SymbolTable | undefined {
  const words = new Uint32Array(symbols.buffer);
  const values = new Float64Array(types.length);
  const named: number[] = [];
  for (let index = 0; index < types.length; index++) {
    const at = (index * SYMBOL_SIZE) / 4;
    values[index] = kernel.space.folding.fold(words[at + VALUE / 4], words[at + VALUE / 4 + 1]);
    // Entry 0 and section symbols have no name; the kernel leaves them out too.
    if (!Number.isNaN(values[index]) && strings[words[at]] > 0) named.push(index);
  }
  named.sort((a, b) => values[a] - values[b]);
  const nameOffsets = new Uint32Array(named.length + 1);
  for (const [position, index] of named.entries()) {
    const length = 1 + nameAt(strings, words[(index * SYMBOL_SIZE) / 4]).length;
    nameOffsets[position + 1] = nameOffsets[position] + length;
  }
  // Names that share their bytes could add up to more than the strings are.
  if (nameOffsets[named.length] > MAX_STRINGS) return undefined;
  const names = new Uint8Array(nameOffsets[named.length]);
  for (const [position, index] of named.entries()) {
    names[nameOffsets[position]] = types[index];
    names.set(nameAt(strings, words[(index * SYMBOL_SIZE) / 4]), nameOffsets[position] + 1);
  }
  const table = new SymbolTable({
    addresses: Float64Array.from(named, (index) => values[index]),
    names,
    nameOffsets,
  });
  markExported(table, names, nameOffsets, exported);
  return table;
}

/**
 * The kernel shows symbols that all modules may use with a capital letter (s_show in
 * kernel/kallsyms.c): those whose entry lies in `syms`. Until 7.0 others had a table of their own.
 */
function markExported(
  table: SymbolTable,
  names: Uint8Array,
  nameOffsets: Uint32Array,
  entries: AddressRange,
): void {
  for (const entry of table.startingWith(EXPORT_PREFIX)) {
    const address = table.addresses[entry];
    if (address < entries.start || address >= entries.end) continue;
    const exported = table.indexOf(table.name(entry).slice(EXPORT_PREFIX.length));
    if (exported < 0) continue;
    const at = nameOffsets[exported];
    // Of a lower-case letter, bit 5 is what tells it from the capital.
    if (names[at] >= 0x61 && names[at] <= 0x7a) names[at] -= 0x20;
  }
}

function nameAt(strings: Uint8Array, start: number): Uint8Array {
  const limit = Math.min(start + MAX_NAME, strings.length);
  let end = start;
  while (end < limit && strings[end] !== 0) end++;
  return strings.subarray(start, end);
}
