import { SymbolTable } from "./symbol-table.ts";

/**
 * A symbol table as one block of bytes, for a cache file:
 *
 *     "kvmsyms\0" | version u32 | count u32 | name bytes u32 | 0 u32
 *     addresses f64 × count | name offsets u32 × (count + 1) | names
 *
 * Little-endian, as every machine that runs this.
 */
const MAGIC = Buffer.from("kvmsyms\0");
const VERSION = 1;
const HEADER_SIZE = 24;

export function serializeSymbols(table: SymbolTable): Uint8Array {
  const { addresses, nameOffsets, names } = table.parts;
  const header = Buffer.alloc(HEADER_SIZE);
  MAGIC.copy(header);
  header.writeUInt32LE(VERSION, 8);
  header.writeUInt32LE(addresses.length, 12);
  header.writeUInt32LE(names.length, 16);
  return Buffer.concat([
    header,
    new Uint8Array(addresses.buffer, addresses.byteOffset, addresses.byteLength),
    new Uint8Array(nameOffsets.buffer, nameOffsets.byteOffset, nameOffsets.byteLength),
    names,
  ]);
}

/** Undefined for anything but a whole block of this version, in order: then it is made anew. */
export function deserializeSymbols(bytes: Uint8Array): SymbolTable | undefined {
  if (bytes.length < HEADER_SIZE) return undefined;
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, HEADER_SIZE);
  if (!header.subarray(0, 8).equals(MAGIC) || header.readUInt32LE(8) !== VERSION) return undefined;
  const count = header.readUInt32LE(12);
  const nameBytes = header.readUInt32LE(16);
  if (bytes.length !== HEADER_SIZE + count * 8 + (count + 1) * 4 + nameBytes) {
    return undefined;
  }
  const body = new Uint8Array(bytes.subarray(HEADER_SIZE));
  const addresses = new Float64Array(body.buffer, 0, count);
  const nameOffsets = new Uint32Array(body.buffer, count * 8, count + 1);
  if (!ascending(addresses) || !ascending(nameOffsets)) return undefined;
  if (nameOffsets[0] !== 0 || nameOffsets[count] !== nameBytes) return undefined;
  return new SymbolTable({ addresses, nameOffsets, names: body.subarray(count * 12 + 4) });
}

function ascending(values: Float64Array | Uint32Array): boolean {
  let last = Number.NEGATIVE_INFINITY;
  for (const value of values) {
    if (!(last <= value)) return false;
    last = value;
  }
  return true;
}
