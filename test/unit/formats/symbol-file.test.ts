import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { parseSymbolFile } from "../../../src/formats/symbol-file.ts";
import type { SymbolFile } from "../../../src/formats/symbol-file.ts";
import { writeElf, writeNote } from "../../fixtures/elf-writer.ts";

const isf = join(import.meta.dirname, "../../fixtures/isf");
const TEXT = -0x7f00_0000;

function parsed(bytes: Uint8Array | string): SymbolFile {
  const result = parseSymbolFile(Buffer.from(bytes));
  assert.ok(result.ok, result.ok ? "" : result.reason);
  return result.file;
}

function reason(bytes: Uint8Array | string): string {
  const result = parseSymbolFile(Buffer.from(bytes));
  return result.ok ? "" : result.reason;
}

const MAP = [
  "0000000000000000 D __per_cpu_start",
  "ffffffff81000000 T _text",
  "ffffffff81000000 T _stext",
  "ffffffff81000010 W weak_name",
  "ffffffff81000010 T __do_sys_open",
  "ffffffff81000010 T strong_name",
  "ffffffff81000020 t .Llabel",
  "000000000badf00d A __kcfi_typeid_strong_name",
  "ffffffff81001000 a local_absolute",
  "not a line of it",
  "",
].join("\n");

describe("files with a kernel's symbols", () => {
  test("System.map, also packed: what kallsyms would have, the best name of a place first", () => {
    for (const bytes of [Buffer.from(MAP), gzipSync(MAP)]) {
      const { symbols, buildId, banner } = parsed(bytes);
      assert.deepEqual(
        [...symbols].map(({ name }) => name),
        ["_text", "_stext", "strong_name", "__do_sys_open", "weak_name", "__per_cpu_start"],
      );
      assert.equal(symbols.at(TEXT + 0x12)?.name, "strong_name");
      assert.equal(symbols.address("__per_cpu_start"), 0);
      assert.deepEqual([buildId, banner], [undefined, undefined]);
    }
  });

  test("an ELF kernel's symbol table and build id", () => {
    const names = "\0schedule\0.Lnowhere\0__crc_schedule\0";
    const table = Buffer.alloc(4 * 24);
    for (const [i, name] of ["schedule", ".Lnowhere", "__crc_schedule"].entries()) {
      table.writeUInt32LE(names.indexOf(`\0${name}`) + 1, (i + 1) * 24);
      table.writeUInt8(0x12, (i + 1) * 24 + 4);
      table.writeUInt16LE(1, (i + 1) * 24 + 6);
      table.writeBigUInt64LE(0xffffffff81000040n, (i + 1) * 24 + 8);
    }
    const sections = [
      { name: ".text", flags: 6, address: 0xffffffff81000000n, data: new Uint8Array(256) },
      { name: ".notes", type: 7, data: writeNote("GNU", 3, Uint8Array.of(0xde, 0xad)) },
      { name: ".symtab", type: 2, data: table, link: 4 },
      { name: ".strtab", type: 3, data: Buffer.from(names) },
    ];
    const { symbols, buildId } = parsed(writeElf({ sections }));
    assert.deepEqual([...symbols], [{ name: "schedule", type: "T", address: TEXT + 0x40 }]);
    assert.equal(buildId, "dead");
    assert.match(reason(writeElf({ sections: sections.slice(0, 2) })), /stripped of its symbols/);
  });

  test("a Volatility symbol file", () => {
    const { symbols } = parsed(readFileSync(join(isf, "task.isf.json")));
    assert.equal(symbols.address("_DYNAMIC"), 4_210_248);
    assert.match(reason('{"metadata":{},"base_types":{},"user_types":{}}'), /symbol file|symbols/);
  });

  test("anything else says why it is none", () => {
    assert.match(reason("The real System.map is in the package of debug symbols\n"), /neither/);
    assert.match(reason(""), /neither/);
  });
});
