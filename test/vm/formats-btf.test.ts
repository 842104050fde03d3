import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { BtfKind, memberPath, parseBtf } from "../../src/formats/btf.ts";
import type { Btf } from "../../src/formats/btf.ts";
import { checkBtf } from "../fixtures/btf-check.ts";
import { dumpTypes } from "../fixtures/btf-dump.ts";
import { printType } from "../../src/formats/btf-print.ts";
import { elfSection, parseElf } from "../../src/formats/elf.ts";
import { kernelNames, unpackedKernel } from "./formats-kernels.ts";
import { searchPath } from "./harness/command.ts";

const modules = ["bridge", "nf_conntrack", "tun", "dummy"];

function bpftool(...args: string[]): string {
  const env = { ...process.env, PATH: searchPath() };
  return execFileSync("bpftool", args, { maxBuffer: 2 ** 29, env }).toString();
}

function parsed(bytes: Uint8Array | undefined, base?: Btf): Btf {
  const result = parseBtf(bytes ?? new Uint8Array(0), base);
  assert.ok(result.ok, result.ok ? "" : result.reason);
  return result.btf;
}

function assertSameLines(actual: string, expected: string): void {
  if (actual === expected) return;
  const [a, b] = [actual.split("\n"), expected.split("\n")];
  const wrong = a.findIndex((line, i) => line !== b[i]);
  assert.equal(a.slice(wrong - 2, wrong + 2).join("\n"), b.slice(wrong - 2, wrong + 2).join("\n"));
  assert.equal(a.length, b.length);
}

/** Definitions in bpftool's header, by `struct NAME`; its explicit padding and its sizes of enums (from 7.5 on) are not ours. */
function definitions(header: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const [text, name] of header.matchAll(
    /^((?:struct|union|enum) \w+) \{\n[^]*?^\}[^\n]*;$/gm,
  )) {
    const plain = text
      .replaceAll(/^\t+\w+: \d+;\n/gm, "")
      .replaceAll(/ __attribute__\(\(mode\(\w+\)\)\)/g, "");
    found.set(name, `${plain}\n`);
  }
  return found;
}

/** Ids of structs, unions and enums that are alone with their name. */
function singleNames(btf: Btf): Map<string, number> {
  const kinds = new Map<BtfKind, string>([
    [BtfKind.STRUCT, "struct"],
    [BtfKind.UNION, "union"],
    [BtfKind.ENUM, "enum"],
    [BtfKind.ENUM64, "enum"],
  ]);
  const singles = new Map<string, number>();
  const names = new Set<string>();
  for (let id = 1; id < btf.typeCount; id++) {
    const keyword = kinds.get(btf.kind(id));
    if (keyword === undefined || btf.name(id) === "") continue;
    const name = `${keyword} ${btf.name(id)}`;
    if (names.has(name)) singles.delete(name);
    else singles.set(name, id);
    names.add(name);
  }
  return singles;
}

async function compare(t: TestContext, name: string): Promise<void> {
  const { kernel, vmlinux } = await unpackedKernel(name);
  const home = mkdtempSync(join(tmpdir(), "kvmsec-btf-"));
  t.after(() => rmSync(home, { recursive: true }));
  const file = join(home, "vmlinux");
  writeFileSync(file, vmlinux.btf ?? "");
  const btf = parsed(vmlinux.btf);
  assert.equal(checkBtf(btf), undefined);

  await t.test("every type equals bpftool's listing", () => {
    assertSameLines(`${[...dumpTypes(btf)].join("\n")}\n`, bpftool("btf", "dump", "file", file));
  });

  await t.test("every struct, union and enum equals bpftool's C", () => {
    const theirs = definitions(bpftool("btf", "dump", "file", file, "format", "c"));
    let compared = 0;
    for (const [name, id] of singleNames(btf)) {
      const expected = theirs.get(name);
      // Types that refer to one of two namesakes get a suffix there, and those of nothing but
      // unnamed bit-fields (bpf_timer) are padded.
      if (expected === undefined || /___\d/.test(expected) || /\{\n\}/.test(expected)) continue;
      assertSameLines(printType(btf, id), expected);
      compared++;
    }
    assert.ok(compared > 5000, `${compared} compared`);
  });

  await t.test("names, sizes and member paths agree with the listing", () => {
    for (const [name, id] of singleNames(btf)) {
      const kind = btf.kind(id);
      assert.equal(btf.find(name.slice(name.indexOf(" ") + 1), kind), id);
      for (const member of btf.members(id)) {
        if (member.name === "" || member.bitSize !== 0) continue;
        assert.equal((memberPath(btf, id, member.name)?.offset ?? -1) * 8, member.bitOffset);
      }
    }
  });

  await t.test("modules' types equal bpftool's listing", () => {
    const files = readdirSync(kernel.modules, { recursive: true, encoding: "utf8" });
    let compared = 0;
    for (const module of modules) {
      const found = files.find((path) => path.split("/").at(-1)?.startsWith(`${module}.ko`));
      if (found === undefined) continue;
      const path = join(kernel.modules, found);
      const bytes = execFileSync("sh", ["-c", 'xz -dc "$0" 2>/dev/null || cat "$0"', path], {
        maxBuffer: 2 ** 28,
      });
      const elf = parseElf(bytes);
      const section = elf.ok ? elfSection(bytes, elf.elf, ".BTF") : undefined;
      if (section === undefined) continue;
      const split = join(home, module);
      writeFileSync(split, section);
      const own = parsed(section, btf);
      assert.equal(checkBtf(own), undefined);
      const text = `${[...dumpTypes(own)].join("\n")}\n`;
      assertSameLines(text, bpftool("-B", file, "btf", "dump", "file", split));
      compared++;
    }
    t.diagnostic(`${kernel.version}: ${btf.typeCount} types, ${compared} modules`);
  });
}

for (const name of kernelNames) test(`BTF of ${name}`, (t) => compare(t, name));
