import type { GuestVirtual } from "../../base/address.ts";
import type { KallsymsCandidate } from "../../formats/kallsyms.ts";
import type { SymbolFile } from "../../formats/symbol-file.ts";
import { SymbolTable } from "../../formats/symbol-table.ts";
import { ownBuildId } from "./identity.ts";
import type { BuildIdNote } from "./identity.ts";
import type { ReadImage } from "./symbol-proof.ts";

/** What the guest's memory says about which kernel's image this is. */
export type ImageWords = {
  readonly start: GuestVirtual;
  readonly notes: readonly BuildIdNote[];
  readonly read: ReadImage;
  /** Tables of symbols that the image carries. */
  readonly tables: readonly Pick<KallsymsCandidate, "table">[];
};

/** Somebody may have changed names in the guest; a table of another build agrees in a few only. */
const MIN_AGREEMENT = 0.99;
const MIN_NAMES = 256;
const MAX_BANNER = 512;

/**
 * The symbols of a file at the addresses where this image has them; a reason where it belongs to
 * another kernel. The build id or the banner decide; a file with neither (System.map) has to agree
 * with the names of functions that the image carries.
 */
export function placeSymbols(given: SymbolFile, image: ImageWords): SymbolTable | string {
  if (Number.isNaN(given.symbols.address("_text"))) return "it has no symbol _text";
  const symbols = slide(given.symbols, image.start);
  const banner = bannerAt(image, symbols.address("linux_banner"));
  if (banner === undefined) return "linux_banner lies elsewhere in the guest";
  if (given.buildId !== undefined) {
    const own = ownBuildId(symbols, image.notes)?.id;
    if (own === given.buildId) return symbols;
    return `it has build id ${given.buildId}, the guest's kernel ${own ?? "none at that place"}`;
  }
  if (given.banner !== undefined) {
    return given.banner.trimEnd() === banner.trimEnd() ? symbols : "it has another banner";
  }
  if (image.tables.length === 0) {
    return "it has no build id, and the guest's kernel no symbols to compare with";
  }
  const agrees = image.tables.some(({ table }) => agree(table, symbols));
  return agrees ? symbols : "its functions lie elsewhere in the guest";
}

function bannerAt({ read, start }: ImageWords, address: GuestVirtual): string | undefined {
  const bytes = address > start ? read(address - start, MAX_BANNER) : undefined;
  const text = bytes && Buffer.from(bytes).toString("latin1").replace(/\0.*$/s, "");
  return text?.startsWith("Linux version ") === true ? text : undefined;
}

/** The same kernel at another place: image addresses move together, zero-based ones stay. */
export function slide(symbols: SymbolTable, text: GuestVirtual): SymbolTable {
  const distance = text - symbols.address("_text");
  if (distance === 0) return symbols;
  const addresses = symbols.parts.addresses.map((each) => (each < 0 ? each + distance : each));
  return new SymbolTable({ ...symbols.parts, addresses });
}

function agree(carried: SymbolTable, given: SymbolTable): boolean {
  if (carried.size < MIN_NAMES) return false;
  let same = 0;
  for (const { name, address } of carried) if (given.all(name).includes(address)) same++;
  return same >= carried.size * MIN_AGREEMENT;
}
