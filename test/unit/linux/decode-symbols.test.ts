import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseSymbolFile } from "../../../src/formats/symbol-file.ts";
import type { SymbolFile } from "../../../src/formats/symbol-file.ts";
import { symbolTableOf } from "../../../src/formats/symbol-list.ts";
import { decodeSymbols } from "../../../src/linux/discovery/symbols.ts";
import { writeNote } from "../../fixtures/elf-writer.ts";
import { sampleSymbols, writeKallsyms } from "../../fixtures/kallsyms-writer.ts";
import type { KernelSymbol } from "../../fixtures/kallsyms-writer.ts";

const BASE = -0x7f00_0000;
/** Where the build is linked; the guest has it elsewhere. */
const LINKED = BASE - 0x20_0000;
const BANNER = "Linux version 6.18.0 (gcc)";
const BANNER_AT = 0x3000;
const NOTES_AT = 0x2000;
const BUILD_ID = "5a".repeat(20);

function decode(carried: readonly KernelSymbol[], given?: SymbolFile) {
  const bytes = new Uint8Array(0x4_0000);
  bytes.set(Buffer.from(BANNER), BANNER_AT);
  bytes.set(writeNote("GNU", 3, Buffer.from(BUILD_ID, "hex")), NOTES_AT);
  if (carried.length > 0) {
    const table = writeKallsyms({
      symbols: carried.toSorted((a, b) => a.address - b.address),
      order: "new",
      seqs: true,
      addressing: "relative",
      align: 8,
      imageBase: BASE,
      at: 0x5000,
    });
    bytes.set(table.bytes, 0x5000);
  }
  const image = { virtual: BASE, physical: 0, size: bytes.length, level3: 0 };
  return decodeSymbols(bytes, image, { given });
}

function functions(base: number): KernelSymbol[] {
  return sampleSymbols(600, base);
}

function variables(base: number): KernelSymbol[] {
  return [
    { name: "__start_notes", type: "R", address: base + NOTES_AT },
    { name: "__stop_notes", type: "R", address: base + NOTES_AT + 36 },
    { name: "linux_banner", type: "D", address: base + BANNER_AT },
    { name: "cpu_number", type: "D", address: 0x40 },
  ];
}

function built(says: Partial<SymbolFile>, base = LINKED): SymbolFile {
  const symbols = symbolTableOf([...functions(base), ...variables(base)]);
  return { symbols, buildId: undefined, banner: undefined, ...says };
}

function systemMap(symbols: readonly KernelSymbol[]): SymbolFile {
  const lines = symbols.map(({ address, type, name }) => {
    const hex = BigInt.asUintN(64, BigInt(address)).toString(16).padStart(16, "0");
    return `${hex} ${type} ${name}\n`;
  });
  const parsed = parseSymbolFile(Buffer.from(lines.join("")));
  assert.ok(parsed.ok, parsed.ok ? "" : parsed.reason);
  return parsed.file;
}

function assertPlaced({ symbols, buildId }: ReturnType<typeof decode>): void {
  assert.equal(symbols.address("linux_banner"), BASE + BANNER_AT);
  assert.equal(symbols.address("cpu_number"), 0x40);
  assert.equal(symbols.address("init_handler_1"), BASE + 64 + 16);
  assert.equal(buildId, BUILD_ID);
}

test("a kernel without names of variables is told from one without symbols", () => {
  const whole = decode([...functions(BASE), variables(BASE)[2]]);
  assert.equal(whole.symbols.address("linux_banner"), BASE + BANNER_AT);
  assert.throws(() => decode(functions(BASE)), {
    code: "KVMSEC_SYMBOLS_NOT_FOUND",
    message: /names functions only/,
    hint: /CONFIG_KALLSYMS_ALL.*--symbols/,
  });
  assert.throws(() => decode([]), { code: "KVMSEC_SYMBOLS_NOT_FOUND", hint: /--symbols/ });
});

describe("given symbols of a build are placed where the guest has it", () => {
  const carried = functions(BASE);

  test("by build id, whether the guest's table names functions or is not there", () => {
    assertPlaced(decode(carried, built({ buildId: BUILD_ID })));
    assertPlaced(decode([], built({ buildId: BUILD_ID })));
  });

  test("by banner", () => assertPlaced(decode(carried, built({ banner: `${BANNER}\n` }))));

  test("a System.map, by the names of functions that the guest has", () => {
    const map = systemMap([...functions(LINKED), ...variables(LINKED)]);
    assertPlaced(decode(carried, map));
    // Somebody renamed two of 600.
    const renamed = carried.map((each, i) => (i < 4 || i > 5 ? each : { ...each, name: "other" }));
    assertPlaced(decode(renamed, map));
  });

  test("not those of another build", () => {
    const moved = functions(LINKED).map((each, i) =>
      i < 300 ? each : { ...each, address: each.address + 16 },
    );
    const nowhere = built({}).symbols;
    const foreign: [SymbolFile, RegExp, readonly KernelSymbol[]][] = [
      [built({ buildId: "ab".repeat(20) }), /build id abab/, carried],
      [built({ banner: "Linux version 6.18.1 (gcc)" }), /another banner/, carried],
      [systemMap([...moved, ...variables(LINKED)]), /functions lie elsewhere/, carried],
      [{ ...built({}), symbols: nowhere }, /no symbols to compare with/, []],
      [systemMap(functions(LINKED)), /linux_banner lies elsewhere/, carried],
    ];
    for (const [given, message, table] of foreign) {
      assert.throws(() => decode(table, given), { code: "KVMSEC_SYMBOLS_FOREIGN", message });
    }
  });

  test("a table that is whole is used itself", () => {
    const whole = [...carried, variables(BASE)[2]];
    const { symbols } = decode(whole, built({ buildId: "ab".repeat(20) }));
    assert.equal(symbols.size, whole.length);
  });
});
