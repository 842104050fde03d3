import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseVmlinux } from "../../../src/formats/vmlinux.ts";
import { vmlinuxSymbols } from "../../fixtures/vmlinux-symbols.ts";
import type { Vmlinux } from "../../../src/formats/vmlinux.ts";
import { BtfWriter } from "../../fixtures/btf-writer.ts";
import { writeElf, writeNote } from "../../fixtures/elf-writer.ts";
import type { SectionSpec, SegmentSpec } from "../../fixtures/elf-writer.ts";
import { sampleSymbols, writeKallsyms } from "../../fixtures/kallsyms-writer.ts";

const TEXT = 0xffffffff81000000n;
const BASE = -0x7f000000;

function rodata(): Uint8Array {
  const symbols = sampleSymbols(600, BASE);
  const layout = { order: "new", seqs: true, addressing: "relative", align: 8 } as const;
  const { bytes } = writeKallsyms({ ...layout, symbols, imageBase: BASE, at: 0x1000 });
  return bytes;
}

function load(virtualAddress: bigint, data: Uint8Array = Uint8Array.of(1)): SegmentSpec {
  return { type: 1, virtualAddress, data };
}

function reason(bytes: Uint8Array): string {
  const result = parseVmlinux(bytes);
  return result.ok ? "" : result.reason;
}

/** A kernel of two segments; a third, per-CPU one at address 0. */
function kernel(more: readonly SectionSpec[] = []): Uint8Array {
  const btf = new BtfWriter();
  btf.int("int", 4);
  return writeElf({
    segments: [
      load(TEXT, Uint8Array.of(0x90, 0x90)),
      load(TEXT + 0x1000n, rodata()),
      load(0n, Uint8Array.of(1, 2, 3)),
    ],
    sections: [
      { name: ".text", address: TEXT, data: Uint8Array.of(0x90), flags: 4 },
      { name: ".data", address: TEXT, data: Uint8Array.of(0), flags: 1 },
      { name: ".bss", address: TEXT, size: 64, type: 8, flags: 1 },
      { name: ".rodata", address: TEXT, data: Uint8Array.of(0) },
      { name: ".BTF", data: btf.bytes() },
      { name: ".notes", type: 7, data: writeNote("GNU", 3, Uint8Array.of(0xde, 0xad)) },
      ...more,
    ],
  });
}

function parsed(bytes: Uint8Array): Vmlinux {
  const result = parseVmlinux(bytes);
  assert.ok(result.ok, result.ok ? "" : result.reason);
  return result.vmlinux;
}

/** `.symtab` entries as [name, info, section index, value]. */
function symbolSections(
  entries: readonly (readonly [string, number, number, bigint])[],
): SectionSpec[] {
  const names = Buffer.from(`\0${entries.map(([name]) => `${name}\0`).join("")}`);
  const table = Buffer.alloc((entries.length + 1) * 24);
  let nameAt = 1;
  for (const [i, [name, info, section, value]] of entries.entries()) {
    const at = (i + 1) * 24;
    table.writeUInt32LE(nameAt, at);
    table.writeUInt8(info, at + 4);
    table.writeUInt16LE(section, at + 6);
    table.writeBigUInt64LE(value, at + 8);
    nameAt += name.length + 1;
  }
  return [
    { name: ".symtab", type: 2, data: table, link: 8 },
    { name: ".strtab", type: 3, data: names },
  ];
}

describe("vmlinux", () => {
  test("image, build id, BTF, symbols from kallsyms", () => {
    const bytes = kernel();
    const vmlinux = parsed(bytes);
    assert.equal(vmlinux.imageBase, BASE);
    assert.equal(vmlinux.image.length, 0x1000 + rodata().length);
    assert.deepEqual([...vmlinux.image.subarray(0, 3)], [0x90, 0x90, 0]);
    assert.equal(vmlinux.buildId, "dead");
    assert.equal(vmlinux.btf?.[0], 0x9f);
    const symbols = vmlinuxSymbols(bytes, vmlinux);
    assert.ok(symbols.ok);
    assert.equal(symbols.table.size, 600);
    assert.equal(symbols.table.address("_stext"), BASE);
  });

  test("symbols from the symbol table, with nm's letters", () => {
    const GLOBAL = 0x10;
    const WEAK = 0x20;
    const bytes = kernel(
      symbolSections([
        ["undefined", GLOBAL, 0, 0n],
        ["file.c", 4, 0xfff1, 0n],
        ["bss", GLOBAL | 1, 3, TEXT + 9n],
        ["schedule", GLOBAL | 2, 1, TEXT + 1n],
        ["local", 2, 1, TEXT + 2n],
        ["data", GLOBAL | 1, 2, TEXT + 3n],
        ["constant", 1, 4, TEXT + 4n],
        ["weak_function", WEAK | 2, 1, TEXT + 5n],
        ["weak_object", WEAK | 1, 2, TEXT + 6n],
        ["absolute", GLOBAL, 0xfff1, 0x1000n],
        ["nowhere", GLOBAL, 999, TEXT + 7n],
      ]),
    );
    const symbols = vmlinuxSymbols(bytes, parsed(bytes));
    assert.ok(symbols.ok);
    assert.deepEqual(
      [...symbols.table].map(({ type, name, address }) => [type, name, address - BASE]),
      [
        ["T", "schedule", 1],
        ["t", "local", 2],
        ["D", "data", 3],
        ["r", "constant", 4],
        ["W", "weak_function", 5],
        ["V", "weak_object", 6],
        ["?", "nowhere", 7],
        ["B", "bss", 9],
        ["A", "absolute", 0x1000 - BASE],
      ],
    );
  });

  test("says why a file is no kernel", () => {
    assert.match(reason(new Uint8Array(64)), /no ELF magic/);
    assert.match(reason(writeElf({ segments: [{ type: 1, data: new Uint8Array(4) }] })), /linked/);
    const far = writeElf({ segments: [load(TEXT), load(0xfffffffff0000000n)] });
    assert.match(reason(far), /too large/);
    const empty = writeElf({ segments: [load(TEXT)] });
    const symbols = vmlinuxSymbols(empty, parsed(empty));
    assert.equal(symbols.ok, false);
    assert.equal(parsed(empty).btf, undefined);
    assert.equal(parsed(empty).buildId, undefined);
  });
});
