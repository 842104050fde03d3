import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { deserializeSymbols, serializeSymbols } from "../../../src/formats/symbol-cache.ts";
import { SymbolTable } from "../../../src/formats/symbol-table.ts";

function tableOf(entries: readonly (readonly [string, string, number])[]): SymbolTable {
  const names = entries.map(([name, type]) => Buffer.from(type + name, "latin1"));
  const nameOffsets = new Uint32Array(entries.length + 1);
  for (const [i, name] of names.entries()) nameOffsets[i + 1] = nameOffsets[i] + name.length;
  return new SymbolTable({
    addresses: Float64Array.from(entries, ([, , address]) => address),
    names: Buffer.concat(names),
    nameOffsets,
  });
}

const table = tableOf([
  ["_text", "T", -1000],
  ["_stext", "T", -1000],
  ["schedule", "T", -900],
  ["twin", "t", -800],
  ["schedule_timeout", "T", -700],
  ["twin", "t", -600],
  ["_end", "B", -500],
  ["runqueues", "D", 64],
  ["cpu_info", "D", 128],
]);

describe("symbol table", () => {
  test("a static name that ThinLTO shares is found without its suffix", () => {
    const promoted = tableOf([
      ["modules.llvm.1234567890123456789", "d", -900],
      ["twin.llvm.77", "t", -800],
      ["twin", "t", -700],
      ["almost.llvm.12x", "t", -600],
      [".llvm.12", "t", -500],
      ["number_12", "t", -400],
    ]);
    assert.equal(promoted.address("modules"), -900);
    assert.equal(promoted.address("modules.llvm.1234567890123456789"), -900);
    assert.equal(promoted.address("twin"), -700);
    assert.deepEqual(promoted.all("twin"), [-800, -700]);
    assert.equal(promoted.address("number_12"), -400);
    assert.equal(promoted.address(".llvm.12"), -500);
    assert.equal(promoted.name(0), "modules.llvm.1234567890123456789");
    for (const missing of ["almost", "", "modules.llvm.1", "number_"]) {
      assert.ok(Number.isNaN(promoted.address(missing)), missing);
    }
  });

  test("by name", () => {
    assert.equal(table.size, 9);
    assert.equal(table.address("schedule"), -900);
    assert.equal(table.address("cpu_info"), 128);
    assert.deepEqual(table.all("twin"), [-800, -600]);
    assert.equal(table.address("twin"), -800);
    assert.equal(table.indexOf("_end"), 6);
    for (const missing of ["", "sched", "schedule ", "Tschedule", "x".repeat(99)]) {
      assert.ok(Number.isNaN(table.address(missing)), missing);
      assert.deepEqual(table.all(missing), []);
    }
  });

  test("by address", () => {
    assert.deepEqual(table.at(-900), {
      name: "schedule",
      type: "T",
      address: -900,
      offset: 0,
      size: 100,
    });
    assert.equal(table.at(-801)?.offset, 99);
    assert.equal(table.at(-999)?.name, "_text");
    assert.equal(table.at(-1001), undefined);
    assert.deepEqual(table.at(-400), {
      name: "_end",
      type: "B",
      address: -500,
      offset: 100,
      size: 0,
    });
    for (const address of [0, 64, 70, 1e9, Number.NaN]) assert.equal(table.at(address), undefined);
    assert.equal(tableOf([["last", "T", -9000]]).at(-9000 + 4096), undefined);
    assert.equal(tableOf([]).at(-1), undefined);
  });

  test("ranges, prefixes, iteration", () => {
    assert.deepEqual(table.range(-900, -600), { first: 2, end: 5 });
    assert.deepEqual(table.range(-5, -5000), { first: 7, end: 7 });
    assert.deepEqual(
      [...table.startingWith("sched")].map((index) => table.name(index)),
      ["schedule", "schedule_timeout"],
    );
    assert.equal([...table.startingWith("")].length, 9);
    assert.equal([...table].length, 9);
    assert.deepEqual([...table][3], { name: "twin", type: "t", address: -800 });
  });

  test("survives a cache file", () => {
    const bytes = serializeSymbols(table);
    const copy = deserializeSymbols(bytes);
    assert.ok(copy);
    assert.deepEqual([...copy], [...table]);
    assert.deepEqual(copy.all("twin"), [-800, -600]);
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    assert.deepEqual([...(deserializeSymbols(shifted.subarray(1)) ?? [])], [...table]);
  });

  test("refuses a cache file that is not whole, not ours, or not in order", () => {
    const bytes = Buffer.from(serializeSymbols(table));
    assert.equal(deserializeSymbols(new Uint8Array(3)), undefined);
    assert.equal(deserializeSymbols(bytes.subarray(0, -1)), undefined);
    assert.equal(deserializeSymbols(Buffer.concat([bytes, Buffer.alloc(1)])), undefined);
    const changed = (change: (copy: Buffer) => void) => {
      const copy = Buffer.from(bytes);
      change(copy);
      return deserializeSymbols(copy);
    };
    assert.equal(
      changed((copy) => copy.writeUInt8(0, 0)),
      undefined,
    );
    assert.equal(
      changed((copy) => copy.writeUInt32LE(2, 8)),
      undefined,
    );
    assert.equal(
      changed((copy) => copy.writeUInt32LE(0xffffffff, 12)),
      undefined,
    );
    assert.equal(
      changed((copy) => copy.writeDoubleLE(Number.NaN, 24)),
      undefined,
    );
    assert.equal(
      changed((copy) => copy.writeDoubleLE(5, 24)),
      undefined,
    );
    assert.equal(
      changed((copy) => copy.writeUInt32LE(0xffff, 24 + 9 * 8 + 4)),
      undefined,
    );
  });
});
