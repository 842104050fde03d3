import type { GuestVirtual } from "../../base/address.ts";
import { elfData } from "../../formats/elf.ts";
import { parseRelocatable, SectionFlag } from "../../formats/elf-relocatable.ts";
import type { Relocatable } from "../../formats/elf-relocatable.ts";
import { AddressRanges } from "../address-ranges.ts";
import type { AddressRange } from "../address-ranges.ts";
import type { Kernel } from "../kernel.ts";
import { moduleSections } from "../module-sections.ts";
import type { ModuleSection } from "../module-sections.ts";
import type { CodeFile, Section, StaticCallTrampoline } from "./code-file.ts";
import { ModuleRelocator } from "./module-relocations.ts";

/** Tables of patch sites among the data: the loader sorts them. */
const WRITABLE_TABLES: ReadonlySet<string> = new Set(["__jump_table", ".static_call_sites"]);

/** Data that lie apart because they become read-only (module_init_layout_section's kin). */
const AFTER_INIT: ReadonlySet<string> = new Set([
  "__jump_table",
  ".data..ro_after_init",
  ".static_call_sites",
]);

/** A section of a module's file that was given memory, relocated. */
export type PlacedSection = AddressRange & {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly executable: boolean;
};

/** A module's file, laid out where the loader put its sections and relocated as it did. */
export class ModuleCode implements CodeFile {
  readonly placed: readonly PlacedSection[];
  readonly sections: ReadonlyMap<string, Section>;
  readonly tables: CodeFile["tables"];
  readonly staticCallTrampolines: readonly StaticCallTrampoline[];
  readonly #ranges: AddressRanges<PlacedSection>;

  constructor(placed: readonly PlacedSection[], trampolines: readonly StaticCallTrampoline[]) {
    this.placed = placed;
    this.staticCallTrampolines = trampolines;
    this.#ranges = new AddressRanges(placed);
    this.sections = new Map(
      placed.map(({ name, start, end }) => [name, { start, size: end - start }]),
    );
    this.tables = {
      mcount: this.sections.get("__mcount_loc"),
      staticCalls: this.sections.get(".static_call_sites"),
      jumpLabels: this.sections.get("__jump_table"),
    };
  }

  bytes(address: GuestVirtual, length: number): Uint8Array | undefined {
    const section = this.#ranges.at(address);
    if (section === undefined || !(length >= 0 && address + length <= section.end))
      return undefined;
    return section.bytes.subarray(address - section.start, address - section.start + length);
  }

  i32(address: GuestVirtual): number {
    const word = this.bytes(address, 4);
    return word === undefined
      ? Number.NaN
      : word[0] | (word[1] << 8) | (word[2] << 16) | (word[3] << 24);
  }

  pointer(address: GuestVirtual): GuestVirtual {
    return this.i32(address + 4) * 2 ** 32 + (this.i32(address) >>> 0);
  }
}

/**
 * Prepares the file of the loaded module at `module` (its struct) for comparison. `exported` finds
 * what other modules and the kernel export. A reason where the two do not fit together.
 */
export function prepareModuleCode(
  kernel: Kernel,
  module: GuestVirtual,
  bytes: Uint8Array,
  exported: (name: string) => GuestVirtual,
): { ok: true; code: ModuleCode } | { ok: false; reason: string } {
  const parsed = parseRelocatable(bytes);
  if (!parsed.ok) return parsed;
  const { file } = parsed;
  const loaded = moduleSections(kernel, module);
  if (loaded === undefined) return fail("the module's list of sections cannot be read");
  const addresses = addressesOf(file, loaded);
  if (typeof addresses === "string") return fail(addresses);
  const perCpu = file.elf.sections.findIndex(({ name }) => name === ".data..percpu");
  if (perCpu >= 0) addresses[perCpu] = kernel.readerOf("module", "percpu")?.(module) ?? Number.NaN;
  const relocator = new ModuleRelocator(file, addresses, kernel.space.folding, exported);
  const placed: PlacedSection[] = [];
  for (const [index, { name, flags, size }] of file.elf.sections.entries()) {
    const data = elfData(bytes, file.elf.sections[index]);
    if (!(addresses[index] < 0) || data === undefined || !isWanted(name, flags)) continue;
    const relocated = relocator.relocate(index, data);
    if (typeof relocated === "string") return fail(`${name}: ${relocated}`);
    placed.push({
      name,
      start: addresses[index],
      end: addresses[index] + size,
      bytes: relocated,
      executable: (flags & SectionFlag.EXECUTE) !== 0,
    });
  }
  return { ok: true, code: new ModuleCode(placed, [...trampolines(file, relocator)]) };
}

/** Code and constant data, with the tables of patch sites; data change, and unwind tables are large. */
function isWanted(name: string, flags: number): boolean {
  if (WRITABLE_TABLES.has(name)) return true;
  return (flags & SectionFlag.WRITE) === 0 && !name.startsWith(".orc_");
}

function fail(reason: string): { ok: false; reason: string } {
  return { ok: false, reason };
}

/** Both lists have the file's order; the loader leaves out what it gives no memory. */
function addressesOf(file: Relocatable, loaded: readonly ModuleSection[]): Float64Array | string {
  const { sections } = file.elf;
  const addresses = new Float64Array(sections.length).fill(Number.NaN);
  let next = 0;
  for (const { name, address } of loaded) {
    while (next < sections.length && sections[next].name !== name) next++;
    if (next === sections.length) return `the file has no section ${name} where the module has one`;
    addresses[next++] = address;
  }
  placeEmpty(file, addresses);
  return addresses;
}

/**
 * Sections without content are laid out too, though no list tells where: behind the one before of
 * the same kind (layout_sections, kernel/module/main.c). Keys of locks that need none lie in such.
 */
function placeEmpty({ elf: { sections } }: Relocatable, addresses: Float64Array): void {
  const ends = new Map<string, number>();
  for (const [index, { name, flags, size, alignment }] of sections.entries()) {
    if ((flags & SectionFlag.ALLOC) === 0) continue;
    const kind = `${flags & (SectionFlag.WRITE | SectionFlag.EXECUTE)} ${name.startsWith(".init")}`;
    const end = ends.get(kind);
    const step = Math.max(alignment, 1);
    if (size === 0 && end !== undefined) addresses[index] = Math.ceil(end / step) * step;
    if (addresses[index] < 0 && !AFTER_INIT.has(name)) ends.set(kind, addresses[index] + size);
  }
}

/** DEFINE_STATIC_CALL in a module: the trampoline and the key have the same name behind a prefix. */
function* trampolines(
  { symbols }: Relocatable,
  relocator: ModuleRelocator,
): Generator<StaticCallTrampoline> {
  for (const [index, { name }] of symbols.entries()) {
    if (!name.startsWith("__SCT__")) continue;
    const wanted = name.replace("__SCT__", "__SCK__");
    const key = symbols.findIndex((symbol) => symbol.name === wanted);
    const address = relocator.addressOf(index);
    if (address < 0 && key >= 0) yield { address, key: relocator.addressOf(key) };
  }
}
