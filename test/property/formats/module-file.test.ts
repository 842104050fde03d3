import assert from "node:assert/strict";
import { test } from "node:test";
import { AddressFolding } from "../../../src/arch/x86/address-folding.ts";
import { elfData } from "../../../src/formats/elf.ts";
import { parseRelocatable } from "../../../src/formats/elf-relocatable.ts";
import { ModuleRelocator } from "../../../src/linux/kernel-text/module-relocations.ts";
import { writeElf } from "../../fixtures/elf-writer.ts";
import { mutations } from "../../fixtures/mutations.ts";

const RUNS = Number(process.env["KVMSEC_FUZZ_RUNS"] ?? 600);
const SEED = Number(process.env["KVMSEC_FUZZ_SEED"] ?? 20261122);

const TEXT = -0x4000_0000;
const DATA = TEXT + 0x1000;
const PRINTK = -0x7f00_0000;

function symbol(name: number, info: number, section: number, value: bigint): Buffer {
  const entry = Buffer.alloc(24);
  entry.writeUInt32LE(name, 0);
  entry.writeUInt8(info, 4);
  entry.writeUInt16LE(section, 6);
  entry.writeBigUInt64LE(value, 8);
  return entry;
}

function relocation(offset: bigint, type: bigint, index: bigint, addend: bigint): Buffer {
  const entry = Buffer.alloc(24);
  entry.writeBigUInt64LE(offset, 0);
  entry.writeBigUInt64LE((index << 32n) | type, 8);
  entry.writeBigInt64LE(addend, 16);
  return entry;
}

/** A module with one relocation of each kind: a call, two addresses, a distance, and a weak symbol. */
function sample(): Uint8Array {
  const names = Buffer.from("\0_printk\0maybe\0");
  const rela = [
    relocation(1n, 4n, 1n, -4n),
    relocation(8n, 1n, 2n, 0x10n),
    relocation(16n, 11n, 2n, 0x20n),
    relocation(20n, 2n, 2n, -4n),
    relocation(24n, 1n, 3n, 0n),
  ];
  const symbols = [
    symbol(0, 0, 0, 0n),
    symbol(1, 0x10, 0, 0n),
    symbol(0, 3, 2, 0x100n),
    symbol(9, 0x20, 0, 0n),
  ];
  return writeElf({
    type: 1,
    sections: [
      { name: ".text", flags: 6, data: new Uint8Array(32) },
      { name: ".data", flags: 3, data: new Uint8Array(0x200) },
      { name: ".rela.text", type: 4, link: 4, info: 1, data: Buffer.concat(rela) },
      { name: ".symtab", type: 2, link: 5, data: Buffer.concat(symbols) },
      { name: ".strtab", type: 3, data: names },
    ],
  });
}

function exported(name: string): number {
  return name === "_printk" ? PRINTK : Number.NaN;
}

function relocated(bytes: Uint8Array): Uint8Array | string {
  const parsed = parseRelocatable(bytes);
  if (!parsed.ok) return parsed.reason;
  const { file } = parsed;
  const addresses = Float64Array.from(file.elf.sections, ({ name }) =>
    name === ".text" ? TEXT : name === ".data" ? DATA : Number.NaN,
  );
  const relocator = new ModuleRelocator(file, addresses, new AddressFolding(), exported);
  const data = file.elf.sections[1] && elfData(bytes, file.elf.sections[1]);
  return data === undefined ? "no text" : relocator.relocate(1, data);
}

test("a module's sections are relocated as its loader does", () => {
  const text = relocated(sample());
  assert.ok(typeof text !== "string");
  const view = new DataView(text.buffer);
  assert.equal(view.getInt32(1, true), PRINTK - 4 - (TEXT + 1));
  assert.equal(view.getBigUint64(8, true), BigInt.asUintN(64, BigInt(DATA + 0x110)));
  assert.equal(view.getInt32(16, true), DATA + 0x120);
  assert.equal(view.getInt32(20, true), DATA + 0xfc - (TEXT + 20));
  assert.equal(view.getBigUint64(24, true), 0n);
});

test("the file's own bytes are left alone, also where they share a buffer", () => {
  const bytes = Buffer.from(sample());
  const before = Buffer.from(bytes);
  relocated(bytes);
  assert.deepEqual(bytes, before);
});

test("any damaged file ends in bytes or a reason", () => {
  for (const bytes of mutations(sample(), RUNS, SEED)) {
    const result = relocated(bytes);
    assert.ok(typeof result === "string" || result instanceof Uint8Array);
  }
});
