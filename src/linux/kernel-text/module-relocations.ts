import type { AddressFolding } from "../../arch/x86/address-folding.ts";
import type { GuestVirtual } from "../../base/address.ts";
import { SectionIndex } from "../../formats/elf-relocatable.ts";
import type { ElfRelocation, Relocatable } from "../../formats/elf-relocatable.ts";

/** Types of relocations that modules may have (arch/x86/include/asm/elf.h). */
const Type = { NONE: 0, ABS64: 1, PC32: 2, PLT32: 4, ABS32: 10, ABS32S: 11, PC64: 24 } as const;

/** Writes into a module's sections what its loader wrote (apply_relocate_add, arch/x86/kernel/module.c). */
export class ModuleRelocator {
  readonly #file: Relocatable;
  readonly #addresses: Float64Array;
  readonly #folding: AddressFolding;
  readonly #exported: (name: string) => GuestVirtual;

  /** `addresses` are those of the file's sections, NaN where one has none. */
  constructor(
    file: Relocatable,
    addresses: Float64Array,
    folding: AddressFolding,
    exported: (name: string) => GuestVirtual,
  ) {
    this.#file = file;
    this.#addresses = addresses;
    this.#folding = folding;
    this.#exported = exported;
  }

  /** Where a symbol of the file lies, NaN where that cannot be told. */
  addressOf(symbol: number): GuestVirtual {
    const entry = this.#file.symbols[symbol];
    if (entry === undefined) return Number.NaN;
    const { name, section, value, weak } = entry;
    if (section === SectionIndex.ABS) return value;
    if (section !== SectionIndex.UNDEF) return this.#addresses[section] + value;
    const found = this.#exported(name);
    return found !== found && weak ? 0 : found;
  }

  /** A copy of a section's bytes, relocated; or why that cannot be done. */
  relocate(section: number, data: Uint8Array): Uint8Array | string {
    // A Buffer's own slice would share the memory.
    const bytes = Uint8Array.from(data);
    const view = new DataView(bytes.buffer);
    for (const relocation of this.#file.relocations(section)) {
      const wrong = this.#apply(view, this.#addresses[section], relocation);
      if (wrong !== undefined) return wrong;
    }
    return bytes;
  }

  #apply(
    view: DataView,
    start: GuestVirtual,
    { offset, type, symbol, addend }: ElfRelocation,
  ): string | undefined {
    if (type === Type.NONE) return undefined;
    const size = type === Type.ABS64 || type === Type.PC64 ? 8 : 4;
    if (!(offset >= 0 && offset + size <= view.byteLength)) return "a relocation lies outside";
    const target = this.addressOf(symbol) + addend;
    // Beyond what an address folds to there is nothing either.
    if (!(Math.abs(target) <= Number.MAX_SAFE_INTEGER)) {
      return `it needs ${this.#nameOf(symbol)}, which is not to be found`;
    }
    switch (type) {
      case Type.ABS64:
        view.setBigUint64(offset, this.#folding.unfold(target), true);
        return undefined;
      case Type.PC64:
        view.setBigInt64(offset, BigInt(target - (start + offset)), true);
        return undefined;
      case Type.PC32:
      case Type.PLT32:
        view.setInt32(offset, target - (start + offset), true);
        return undefined;
      case Type.ABS32:
      case Type.ABS32S:
        view.setInt32(offset, target, true);
        return undefined;
      default:
        return `a relocation of type ${type} is none that modules have`;
    }
  }

  /** Section symbols have no name of their own. */
  #nameOf(symbol: number): string {
    const { name = "", section = 0 } = this.#file.symbols[symbol] ?? {};
    return name === "" ? (this.#file.elf.sections[section]?.name ?? "a symbol") : name;
  }
}
