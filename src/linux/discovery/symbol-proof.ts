import { createHash } from "node:crypto";
import type { KallsymsCandidate } from "../../formats/kallsyms.ts";
import { deserializeSymbols, serializeSymbols } from "../../formats/symbol-cache.ts";
import type { SymbolTable } from "../../formats/symbol-table.ts";

/** Some bytes of an image, counted from its start; undefined where any is missing. */
export type ReadImage = (offset: number, length: number) => Uint8Array | undefined;

type Stretch = { readonly offset: number; readonly length: number };

/** Two stretches, each an offset and a length of 32 bits, and the SHA-256 of what lies in them. */
const STRETCHES = 2;
const DIGEST_SIZE = 32;
const PROOF_SIZE = STRETCHES * 8 + DIGEST_SIZE;
/** A table with a million symbols has 25 MB. */
const MAX_STRETCH = 2 ** 26;
const TOKEN_INDEX_SIZE = 512;
const OFFSET_SIZE = 4;

/**
 * A decoded table for a cache, behind a proof of what it was decoded from: another guest may run the
 * same build of a kernel, but with a table in its memory that somebody changed. Undefined for a table
 * of whole addresses, whose bytes are others in each boot.
 */
export function packSymbols(
  { table, layout }: Pick<KallsymsCandidate, "table" | "layout">,
  read: ReadImage,
): Uint8Array | undefined {
  if (layout.addressing === "absolute") return undefined;
  const stretches = [
    { offset: layout.countAt, length: layout.tokenIndex + TOKEN_INDEX_SIZE - layout.countAt },
    { offset: layout.offsets, length: layout.count * OFFSET_SIZE },
  ];
  const digest = digestOf(stretches, read);
  if (digest === undefined) return undefined;
  const head = Buffer.alloc(STRETCHES * 8);
  for (const [index, { offset, length }] of stretches.entries()) {
    head.writeUInt32LE(offset, index * 8);
    head.writeUInt32LE(length, index * 8 + 4);
  }
  return Buffer.concat([head, digest, serializeSymbols(table)]);
}

/**
 * The table, and whether the image holds what it was decoded from: where it does not, it is good for
 * no more than a first guess. Undefined for anything but what `packSymbols` made.
 */
export function unpackSymbols(
  stored: Uint8Array,
  read: ReadImage,
): { readonly table: SymbolTable; readonly proved: boolean } | undefined {
  if (stored.length < PROOF_SIZE) return undefined;
  const head = Buffer.from(stored.buffer, stored.byteOffset, PROOF_SIZE);
  const stretches = Array.from({ length: STRETCHES }, (_, index) => ({
    offset: head.readUInt32LE(index * 8),
    length: head.readUInt32LE(index * 8 + 4),
  }));
  const table = deserializeSymbols(stored.subarray(PROOF_SIZE));
  const proved = digestOf(stretches, read)?.equals(head.subarray(STRETCHES * 8)) === true;
  return table && { table, proved };
}

function digestOf(stretches: readonly Stretch[], read: ReadImage): Buffer | undefined {
  const hash = createHash("sha256");
  for (const { offset, length } of stretches) {
    const bytes = length <= MAX_STRETCH ? read(offset, length) : undefined;
    if (bytes === undefined) return undefined;
    hash.update(bytes);
  }
  return hash.digest();
}
