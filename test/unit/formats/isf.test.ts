import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { execFileSync } from "node:child_process";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { BtfKind, memberPath, parseBtf } from "../../../src/formats/btf.ts";
import type { TypeSource } from "../../../src/formats/btf.ts";
import { printType } from "../../../src/formats/btf-print.ts";
import { parseIsf } from "../../../src/formats/isf.ts";
import type { Isf } from "../../../src/formats/isf.ts";
import { parseTypeFile } from "../../../src/formats/type-file.ts";
import { BtfWriter } from "../../fixtures/btf-writer.ts";
import { writeElf, writeNote } from "../../fixtures/elf-writer.ts";

const folder = join(import.meta.dirname, "../../fixtures/isf");
/** Both made from the same program, by dwarf2json and by pahole. */
const isfBytes = readFileSync(join(folder, "task.isf.json"));
const btfBytes = readFileSync(join(folder, "task.btf"));

function parsed(bytes: Uint8Array): Isf {
  const result = parseIsf(bytes);
  assert.ok(result.ok, result.ok ? "" : result.reason);
  return result.isf;
}

function isfOf(document: unknown): Isf {
  return parsed(Buffer.from(JSON.stringify(document)));
}

function reason(bytes: Uint8Array): string {
  const result = parseTypeFile(bytes);
  return result.ok ? "" : result.reason;
}

/** Every path to a member that has a name, through structs and anonymous members. */
function paths(types: TypeSource, id: number, prefix = ""): string[] {
  return types.members(id).flatMap((member) => {
    const inner = types.strip(member.typeId);
    const path = member.name === "" ? prefix : `${prefix}${member.name}`;
    const deeper = paths(types, inner, member.name === "" ? prefix : `${path}.`);
    return member.name === "" ? deeper : [path, ...deeper];
  });
}

function constants(types: TypeSource, name: string): string[] {
  const enumerators = types.enumerators(types.find(name, BtfKind.ENUM));
  return enumerators.map(({ name, value }) => `${name}=${value}`).toSorted();
}

function format(bytes: Uint8Array): string {
  const result = parseTypeFile(bytes);
  return result.ok ? result.file.format : result.reason;
}

describe("ISF", () => {
  const isf = parsed(isfBytes);
  const result = parseBtf(btfBytes);
  assert.ok(result.ok);
  const { btf } = result;

  test("agrees with the BTF of the same program", () => {
    const [a, b] = [isf, btf].map((types) => types.find("task", BtfKind.STRUCT));
    assert.equal(isf.size(a), btf.size(b));
    const all = paths(btf, b);
    assert.deepEqual(paths(isf, a).toSorted(), all.toSorted());
    assert.ok(all.length > 30);
    for (const path of [...all, "heads[2].prev", "comm[3]"]) {
      const [inIsf, inBtf] = [memberPath(isf, a, path), memberPath(btf, b, path)];
      assert.ok(inIsf && inBtf, path);
      const { typeId: isfType, ...isfPlace } = inIsf;
      const { typeId: btfType, ...btfPlace } = inBtf;
      assert.deepEqual(isfPlace, btfPlace, path);
      assert.equal(isf.size(isfType), btf.size(btfType), path);
      // This pahole writes floating point as integers.
      if (path !== "dbl") assert.deepEqual(isf.int(isfType), normalised(btf, btfType), path);
    }
  });

  test("enumerators, pointers, forward declarations, symbols, banner", () => {
    assert.deepEqual(constants(isf, "state"), constants(btf, "state"));
    const wide = isf.enumerators(isf.find("big", BtfKind.ENUM64));
    assert.equal(BigInt.asUintN(64, wide[0].value), 1n << 63n);
    const task = isf.find("task", BtfKind.STRUCT);
    const target = isf.referenced(memberPath(isf, task, "inc")?.typeId ?? 0);
    assert.deepEqual([isf.kind(target), isf.name(target)], [BtfKind.FWD, "incomplete"]);
    assert.equal(isf.kind(memberPath(isf, task, "fn")?.typeId ?? 0), BtfKind.PTR);
    assert.equal(isf.symbolType("init_task"), task);
    assert.equal(isf.symbolType("nothing"), 0);
    assert.ok(isf.symbols.address("init_task") > 0x400000);
    assert.equal(isf.banner, "Linux version 6.1.0-test (x) #1");
    assert.match(
      printType(isf, task, { offsets: true }),
      /struct list_head heads\[3\]; +\/\* +72 +48/,
    );
  });

  test("names that are not there", () => {
    for (const name of ["nothing", "", "constructor", "__proto__", "toString"]) {
      for (const kind of Object.values(BtfKind)) assert.equal(isf.find(name, kind), 0, name);
    }
    assert.equal(isf.find("task", BtfKind.UNION), 0);
    assert.equal(isf.find("atomic_t", BtfKind.TYPEDEF), 0);
    for (const id of [0, -1, 0.5, 1e9, Number.NaN]) {
      assert.equal(isf.kind(id), BtfKind.VOID);
      assert.equal(isf.strip(id), 0);
      assert.deepEqual(isf.members(id), []);
      assert.ok(Number.isNaN(isf.size(id)));
    }
  });

  test("kernel addresses and large constants keep every bit", () => {
    const text = `{"base_types": {}, "user_types": {}, "enums": {"flags": {"size": 8, "base": "u",
      "constants": {"TOP" : 9223372036854775809}}}, "symbols": {
      "init_task": {"address": 18446744071587170433}, "low": {"address":8},
      "text\\":1234567890123456789": {"address": 18446744071587170434 }}}`;
    const isf = parsed(Buffer.from(text));
    assert.equal(isf.symbols.address("init_task"), Number(18446744071587170433n - (1n << 64n)));
    assert.equal(isf.symbols.address("low"), 8);
    assert.equal(isf.symbols.size, 3);
    assert.equal(isf.enumerators(isf.find("flags", BtfKind.ENUM64))[0].value, 9223372036854775809n);
  });

  test("what is malformed is not there", () => {
    const isf = isfOf({
      base_types: { int: { size: 4, kind: "int", signed: true }, bad: 7, void: { kind: "void" } },
      user_types: {
        odd: {
          kind: "struct",
          size: -1,
          fields: {
            a: 5,
            b: { offset: "x", type: { kind: "base", name: "int" } },
            c: { offset: 8 },
            d: { offset: 4, type: { kind: "struct" } },
            e: { offset: 12, type: { kind: "nonsense", name: "int" } },
            f: { offset: 16, type: { kind: "base", name: "int" } },
            g: { offset: 20, type: { kind: "array", count: "many", subtype: {} } },
            h: { offset: 24, type: { kind: "bitfield", bit_position: 1 } },
            i: { offset: 28, type: { kind: "base", name: "void" } },
          },
        },
        none: { kind: "union" },
      },
      enums: { broken: { size: 4, constants: { A: "x", B: 1.5, C: 2 } } },
      symbols: { a: 3, b: { address: "x" }, c: { address: -4096, type: 7 } },
    });
    const odd = isf.find("odd", BtfKind.STRUCT);
    assert.ok(Number.isNaN(isf.size(odd)));
    assert.deepEqual(
      isf.members(odd).map(({ name }) => name),
      ["d", "f", "g", "i"],
    );
    assert.ok(Number.isNaN(isf.size(isf.members(odd)[2].typeId)));
    assert.deepEqual(isf.members(isf.find("none", BtfKind.UNION)), []);
    const values = isf.enumerators(isf.find("broken", BtfKind.ENUM)).map(({ value }) => value);
    assert.deepEqual(values, [0n, 0n, 2n]);
    assert.deepEqual([...isf.symbols], [{ name: "c", type: "?", address: -4096 }]);
    assert.equal(isf.symbolType("c"), 0);
    assert.equal(isf.banner, undefined);
  });

  test("types that contain themselves end", () => {
    const self = { kind: "array", count: 2, subtype: { kind: "struct", name: "self" } };
    const document = {
      base_types: {},
      user_types: {
        self: {
          kind: "struct",
          size: 8,
          fields: { x: { offset: 0, type: self, anonymous: true } },
        },
      },
    };
    const isf = isfOf(document);
    assert.equal(memberPath(isf, isf.find("self", BtfKind.STRUCT), "y"), undefined);
  });
});

/** The BTF of a C `char` says "signed" where the ISF says "char"; both mean the same. */
function normalised(btf: TypeSource, id: number): ReturnType<TypeSource["int"]> {
  const int = btf.int(id);
  const isChar = int !== undefined && btf.name(btf.strip(id)) === "char";
  return isChar ? { ...int, char: true, signed: true } : int;
}

describe("a file of types", () => {
  test("is recognised by content", () => {
    assert.equal(format(btfBytes), "btf");
    assert.equal(format(isfBytes), "isf");
    assert.equal(format(gzipSync(isfBytes)), "isf");
    assert.equal(format(execFileSync("xz", ["--stdout"], { input: isfBytes })), "isf");
    assert.equal(format(zstdCompressSync(btfBytes)), "btf");
  });

  test("an ELF file with BTF tells its build id", () => {
    const btf = new BtfWriter();
    btf.int("int", 4);
    const note = writeNote("GNU", 3, Uint8Array.of(0xca, 0xfe));
    const sections = [
      { name: ".notes", type: 7, data: note },
      { name: ".BTF", data: btf.bytes() },
    ];
    const result = parseTypeFile(writeElf({ sections }));
    assert.ok(result.ok);
    assert.equal(result.file.format, "elf");
    assert.equal(result.file.buildId, "cafe");
    assert.equal(result.file.symbols, undefined);
    assert.equal(result.file.types.find("int", BtfKind.INT), 1);
  });

  test("anything else is told what it is not", () => {
    assert.match(reason(new Uint8Array(0)), /neither BTF/);
    assert.match(reason(Buffer.from("MZ and so on")), /neither BTF/);
    assert.match(reason(btfBytes.subarray(0, 100)), /^BTF: .*end behind/);
    assert.match(reason(writeElf({})), /no \.BTF section/);
    assert.match(reason(Buffer.from("\x7fELF\x01")), /^ELF: shorter/);
    assert.match(reason(Buffer.from("{")), /^symbol file: no JSON/);
    assert.match(reason(Buffer.from("{}")), /neither base_types/);
    assert.match(reason(Buffer.from('{"a": "\xff"}', "latin1")), /no JSON/);
    const narrow = { base_types: { pointer: { size: 4 } }, user_types: {} };
    assert.match(reason(Buffer.from(JSON.stringify(narrow))), /64-bit/);
    assert.match(reason(Buffer.from("fd377a585a0000", "hex")), /cannot be unpacked/);
    assert.match(reason(gzipSync(isfBytes).subarray(0, 500)), /cannot be unpacked/);
  });
});
