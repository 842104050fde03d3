import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { BtfKind, memberPath, parseBtf } from "../../../src/formats/btf.ts";
import type { Btf, TypeSource } from "../../../src/formats/btf.ts";
import { checkBtf } from "../../fixtures/btf-check.ts";
import { dumpType } from "../../../src/formats/btf-dump.ts";
import { printType } from "../../../src/formats/btf-print.ts";
import { decompressKernel, parseBzImage } from "../../../src/formats/bzimage.ts";
import { parseIsf } from "../../../src/formats/isf.ts";
import { findKallsyms } from "../../../src/formats/kallsyms.ts";
import { deserializeSymbols, serializeSymbols } from "../../../src/formats/symbol-cache.ts";
import type { SymbolTable } from "../../../src/formats/symbol-table.ts";
import { parseSymbolFile } from "../../../src/formats/symbol-file.ts";
import { parseTypeFile } from "../../../src/formats/type-file.ts";
import { parseVmlinux } from "../../../src/formats/vmlinux.ts";
import { vmlinuxSymbols } from "../../fixtures/vmlinux-symbols.ts";
import { writeBzImage } from "../../fixtures/boot-image.ts";
import { BtfWriter } from "../../fixtures/btf-writer.ts";
import { writeElf, writeNote } from "../../fixtures/elf-writer.ts";
import { sampleSymbols, writeKallsyms } from "../../fixtures/kallsyms-writer.ts";
import type { KallsymsSpec } from "../../fixtures/kallsyms-writer.ts";
import { mutations } from "../../fixtures/mutations.ts";

const RUNS = Number(process.env["KVMSEC_FUZZ_RUNS"] ?? 600);
const SEED = Number(process.env["KVMSEC_FUZZ_SEED"] ?? 20261121);

const folder = join(import.meta.dirname, "../../fixtures/isf");
const btfBytes = readFileSync(join(folder, "task.btf"));
const isfBytes = readFileSync(join(folder, "task.isf.json"));
const BASE = -0x7f000000;

/** Asks everything of every type; what comes back must be of the promised shape. */
function exercise(types: TypeSource, ids: Iterable<number>): void {
  for (const id of ids) {
    const kind = types.kind(id);
    const size = types.size(id);
    assert.ok(Number.isNaN(size) || size >= 0);
    assert.equal(typeof types.name(id), "string");
    assert.ok(types.strip(id) >= 0);
    for (const member of types.members(id)) {
      assert.ok(member.bitOffset >= 0 && member.bitSize >= 0);
      const place = memberPath(types, id, `${member.name}.next[1].x`);
      assert.ok(place === undefined || Number.isSafeInteger(place.offset));
    }
    for (const { value } of types.enumerators(id)) assert.equal(typeof value, "bigint");
    types.array(id);
    types.int(id);
    types.referenced(id);
    const found = types.find(types.name(id), kind);
    assert.ok(found >= 0);
    if (id % 4 === size % 4) printType(types, id, { offsets: true, depth: 2 });
  }
}

function exerciseBtf(btf: Btf): void {
  const ids = Array.from({ length: Math.min(btf.typeCount, 500) + 2 }, (_, id) => id);
  exercise(btf, ids);
  for (const id of ids) dumpType(btf, id);
  checkBtf(btf);
}

function exerciseSymbols(table: SymbolTable): void {
  const { addresses } = table;
  for (let i = 1; i < table.size; i++) assert.ok(addresses[i - 1] <= addresses[i]);
  for (const { name, type, address } of table) {
    assert.equal(type.length, 1);
    assert.ok(name.length > 0 && address === address);
  }
  const copy = deserializeSymbols(serializeSymbols(table));
  assert.equal(copy?.size, table.size);
  table.at(BASE + 100);
  table.all("twin");
}

test("damaged BTF", () => {
  const base = parseBtf(btfBytes);
  assert.ok(base.ok);
  const module = new BtfWriter({
    typeCount: base.btf.typeCount,
    stringLength: base.btf.strings.end,
  });
  module.struct("own", 16, [["next", base.btf.find("task", BtfKind.STRUCT), 0]]);
  const split = module.bytes();
  let whole = 0;
  for (const bytes of mutations(btfBytes, RUNS, SEED)) {
    const result = parseBtf(bytes);
    if (!result.ok) continue;
    whole++;
    exerciseBtf(result.btf);
    const child = parseBtf(split, result.btf);
    if (child.ok) exerciseBtf(child.btf);
  }
  assert.ok(whole > RUNS / 10, `${whole} of ${RUNS} were still BTF`);
});

test("damaged kallsyms", () => {
  const layouts: Pick<KallsymsSpec, "order" | "seqs" | "addressing" | "align">[] = [
    { order: "old", seqs: true, addressing: "percpu", align: 8 },
    { order: "new", seqs: true, addressing: "relative", align: 8 },
    { order: "new", seqs: true, addressing: "pc-relative", align: 4 },
    { order: "old", seqs: false, addressing: "absolute", align: 8 },
  ];
  let whole = 0;
  for (const [i, layout] of layouts.entries()) {
    const symbols = sampleSymbols(300, BASE, layout.addressing === "percpu" ? 5 : 0);
    const image = new Uint8Array(0x8000);
    image.set(writeKallsyms({ ...layout, symbols, imageBase: BASE, at: 0x100 }).bytes, 0x100);
    for (const bytes of mutations(image, Math.ceil(RUNS / 4), SEED + i)) {
      const result = findKallsyms(bytes, BASE);
      if (!result.ok) continue;
      whole++;
      for (const { table } of result.candidates) exerciseSymbols(table);
    }
  }
  assert.ok(whole > RUNS / 10, `${whole} of ${RUNS} still had symbols`);
});

test("damaged ELF kernels and boot images", () => {
  const symbols = sampleSymbols(300, BASE);
  const layout = { order: "new", seqs: true, addressing: "relative", align: 8 } as const;
  const { bytes: data } = writeKallsyms({ ...layout, symbols, imageBase: BASE, at: 0 });
  const kernel = writeElf({
    segments: [{ type: 1, virtualAddress: 0xffffffff81000000n, data }],
    sections: [
      { name: ".BTF", data: btfBytes },
      { name: ".notes", type: 7, data: writeNote("GNU", 3, Uint8Array.of(1, 2)) },
      { name: ".symtab", type: 2, data: new Uint8Array(240).fill(0x11), link: 4 },
      { name: ".strtab", type: 3, data: Buffer.from("\0one\0two\0") },
    ],
  });
  for (const bytes of mutations(kernel, RUNS, SEED)) {
    const result = parseVmlinux(bytes);
    parseTypeFile(bytes);
    const file = parseSymbolFile(bytes);
    if (file.ok) exerciseSymbols(file.file.symbols);
    if (!result.ok) continue;
    const found = vmlinuxSymbols(bytes, result.vmlinux);
    if (found.ok) exerciseSymbols(found.table);
  }
  for (const compression of ["gzip", "zstd", "lz4"] as const) {
    const image = writeBzImage({ compression, kernel: kernel.subarray(0, 4096), version: "6.1" });
    for (const bytes of mutations(image, Math.ceil(RUNS / 3), SEED)) {
      const result = parseBzImage(bytes);
      if (result.ok) decompressKernel(result.image);
    }
  }
});

test("damaged System.map files", () => {
  const lines = sampleSymbols(300, BASE).map(({ address, type, name }) => {
    return `${BigInt.asUintN(64, BigInt(address)).toString(16)} ${type} ${name}\n`;
  });
  let whole = 0;
  for (const bytes of mutations(Buffer.from(lines.join("")), RUNS, SEED)) {
    const result = parseSymbolFile(bytes);
    if (!result.ok) continue;
    exerciseSymbols(result.file.symbols);
    whole++;
  }
  assert.ok(whole > 0);
});

test("damaged ISF files", () => {
  let whole = 0;
  for (const bytes of mutations(isfBytes, RUNS, SEED)) {
    const result = parseIsf(bytes);
    if (!result.ok) continue;
    whole++;
    const { isf } = result;
    const task = isf.find("task", BtfKind.STRUCT);
    exercise(isf, [task, ...isf.members(task).map(({ typeId }) => typeId), 0, 9999]);
    exerciseSymbols(isf.symbols);
  }
  assert.ok(whole > 0);
});

test("damaged symbol caches", () => {
  const found = findKallsyms(imageOf(300), BASE);
  assert.ok(found.ok);
  for (const bytes of mutations(serializeSymbols(found.table), RUNS, SEED)) {
    const table = deserializeSymbols(bytes);
    if (table !== undefined) for (let i = 0; i < table.size; i++) table.entry(i);
  }
});

function imageOf(count: number): Uint8Array {
  const layout = { order: "new", seqs: true, addressing: "relative", align: 8 } as const;
  const spec = { ...layout, symbols: sampleSymbols(count, BASE), imageBase: BASE, at: 0 };
  return writeKallsyms(spec).bytes;
}
