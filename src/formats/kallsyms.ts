import { decodeAddresses } from "./kallsyms-addresses.ts";
import type { AddressParts } from "./kallsyms-addresses.ts";
import { decodeNames } from "./kallsyms-decode.ts";
import { findNames, findTokens, ImageReader, SearchBudget } from "./kallsyms-locate.ts";
import type { NameParts } from "./kallsyms-locate.ts";
import { sortedSymbols } from "./kallsyms-sort.ts";
import type { SymbolTable } from "./symbol-table.ts";

export type { Addressing } from "./kallsyms-addresses.ts";

/** Symbols of .rodata and how the bytes that they name begin, in every release. */
const ANCHORS: Readonly<Record<string, string>> = {
  linux_banner: "Linux version ",
  hex_asc: "0123456789abcdef",
  __start_BTF: "\x9f\xeb\x01",
};

type Decoded = Omit<KallsymsCandidate, "confirmed">;

export type KallsymsCandidate = {
  readonly table: SymbolTable;
  /** Where its parts lie in the image, and how addresses are stored. */
  readonly layout: NameParts & AddressParts;
  /**
   * Symbols that point at what their name promises: `linux_banner`, `hex_asc`, `__start_BTF`.
   */
  readonly anchors: readonly string[];
  /** The caller's answer; undefined where it gave no `confirm`. */
  readonly confirmed: boolean | undefined;
};

export type KallsymsOptions = {
  /**
   * Asks whether an address belongs to a name, for cross-checks with what is known from
   * elsewhere. Called for `linux_banner`, `init_task`, `_text` and `_stext` where they exist;
   * one `false` refutes the candidate. `undefined`: don't know.
   */
  readonly confirm?: (name: string, address: number) => boolean | undefined;
};

export type KallsymsResult =
  | {
      readonly ok: true;
      /** Of the best candidate. */
      readonly table: SymbolTable;
      /** All that are consistent in themselves, best first. More than one: somebody forges. */
      readonly candidates: readonly KallsymsCandidate[];
    }
  | { readonly ok: false; readonly reason: string };

const CONFIRM_NAMES = ["linux_banner", "init_task", "_text", "_stext"];

/**
 * Finds and decodes the kernel's symbol table, whatever release it is of (5.10 to 7.3 were
 * tried), by content alone.
 *
 * @param image the kernel image as it is mapped, from `imageBase` on; it must hold .rodata. May
 *   be a view of a running guest: what is kept is copied.
 * @param imageBase virtual address of `image[0]`, signed (see base/address.ts).
 */
export function findKallsyms(
  image: Uint8Array,
  imageBase: number | bigint,
  options: KallsymsOptions = {},
): KallsymsResult {
  const reader = new ImageReader(image);
  const base = Number(BigInt.asIntN(64, BigInt(imageBase)));
  const budget = new SearchBudget();
  const candidates: KallsymsCandidate[] = [];
  let reason = "no kallsyms token table in the kernel image";
  for (const tokens of findTokens(reader)) {
    if (budget.tokens-- <= 0 || budget.tables <= 0) {
      reason = "too many look-alikes of kallsyms tables";
      break;
    }
    const parts = findNames(reader, tokens, budget);
    if (typeof parts !== "string") budget.tables--;
    const decoded = typeof parts === "string" ? parts : decodeTable(reader, base, parts);
    if (typeof decoded === "string") reason = decoded;
    else candidates.push({ ...decoded, confirmed: askCaller(decoded.table, options) });
  }
  if (candidates.length === 0) return { ok: false, reason };
  candidates.sort(compareCandidates);
  return { ok: true, table: candidates[0].table, candidates };
}

/** The first way of storing addresses that an anchor bears out; else the first possible one. */
function decodeTable(image: ImageReader, imageBase: number, parts: NameParts): Decoded | string {
  const names = decodeNames(image, parts);
  if (typeof names === "string") return `kallsyms names: ${names}`;
  let best: Decoded | undefined;
  for (const { addresses, ...where } of decodeAddresses(image, imageBase, parts)) {
    const table = sortedSymbols(addresses, names);
    const anchors = findAnchors(image, imageBase, table);
    const decoded = { table, layout: { ...parts, ...where }, anchors };
    if (anchors.length > 0) return decoded;
    best ??= decoded;
  }
  return best ?? "kallsyms addresses are stored in none of the known ways";
}

function findAnchors(image: ImageReader, imageBase: number, table: SymbolTable): string[] {
  return Object.entries(ANCHORS).flatMap(([name, content]) => {
    const at = table.address(name) - imageBase;
    return at >= 0 && image.bytes.indexOf(content, at, "latin1") === at ? [name] : [];
  });
}

function askCaller(table: SymbolTable, options: KallsymsOptions): boolean | undefined {
  let confirmed: boolean | undefined;
  for (const name of CONFIRM_NAMES) {
    const address = table.address(name);
    const answer = Number.isNaN(address) ? undefined : options.confirm?.(name, address);
    if (answer === false) return false;
    confirmed ??= answer;
  }
  return confirmed;
}

/** Confirmed before unknown before refuted, then by anchors, then by size. */
function compareCandidates(a: KallsymsCandidate, b: KallsymsCandidate): number {
  return (
    rank(b.confirmed) - rank(a.confirmed) ||
    b.anchors.length - a.anchors.length ||
    b.table.size - a.table.size
  );
}

function rank(confirmed: boolean | undefined): number {
  if (confirmed === undefined) return 1;
  return confirmed ? 2 : 0;
}
