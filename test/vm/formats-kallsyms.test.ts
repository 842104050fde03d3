import assert from "node:assert/strict";
import { openSync, statSync } from "node:fs";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { findKallsyms } from "../../src/formats/kallsyms.ts";
import type { KallsymsCandidate } from "../../src/formats/kallsyms.ts";
import { deserializeSymbols, serializeSymbols } from "../../src/formats/symbol-cache.ts";
import type { SymbolTable } from "../../src/formats/symbol-table.ts";
import { vmlinuxSymbols } from "../fixtures/vmlinux-symbols.ts";
import { MappedMemory } from "../../src/memory/mapped-memory.ts";
import { kernelNames, unpackedKernel } from "./formats-kernels.ts";
import type { UnpackedKernel } from "./formats-kernels.ts";
import { bootTiny } from "./harness/guest.ts";
import type { Guest } from "./harness/guest.ts";

type Line = { address: number; type: string; name: string };

/** The kernel's own symbols; those of modules, BPF programs and trampolines name their owner. */
async function guestSymbols(guest: Guest): Promise<Line[]> {
  const text = await guest.run("cat /proc/kallsyms");
  return text
    .trimEnd()
    .split("\n")
    .filter((line) => !line.includes("\t"))
    .map((line) => {
      const [address, type, name] = line.split(" ");
      return { address: Number(BigInt.asIntN(64, BigInt(`0x${address}`))), type, name };
    })
    .toSorted((a, b) => a.address - b.address);
}

function candidatesIn(image: Uint8Array, base: number): readonly KallsymsCandidate[] {
  const result = findKallsyms(image, base);
  assert.ok(result.ok, result.ok ? "" : result.reason);
  return result.candidates;
}

/** Where the guest's image lies in its RAM, found by the token table that the file has. */
function imagesInRam(ram: Uint8Array, kernel: UnpackedKernel): Uint8Array[] {
  const { image, imageBase } = kernel.vmlinux;
  const { tokenTable, tokenIndex } = candidatesIn(image, imageBase)[0].layout;
  const needle = Buffer.from(image.subarray(tokenTable, tokenIndex + 512));
  const whole = Buffer.from(ram.buffer, ram.byteOffset, ram.length);
  const images: Uint8Array[] = [];
  for (let at = whole.indexOf(needle); at >= 0; at = whole.indexOf(needle, at + 1)) {
    const start = at - tokenTable;
    if (start >= 0 && start % 4096 === 0) images.push(ram.subarray(start, start + image.length));
  }
  return images;
}

/** The table that anchors bear out; a copy that the boot left behind has unrelocated addresses. */
function liveTable(ram: Uint8Array, base: number, kernel: UnpackedKernel): SymbolTable {
  for (const image of imagesInRam(ram, kernel)) {
    const [best] = candidatesIn(image, base);
    if (best.anchors.includes("linux_banner") && best.table.address("_text") === base) {
      return best.table;
    }
  }
  assert.fail("no image in RAM has a table that fits its place");
}

async function compare(t: TestContext, name: string): Promise<void> {
  const kernel = await unpackedKernel(name);
  const fromFile = vmlinuxSymbols(kernel.bytes, kernel.vmlinux);
  assert.ok(fromFile.ok, fromFile.ok ? "" : fromFile.reason);
  await using guest = await bootTiny({ kernel: kernel.kernel, ram: "memfd" });
  const expected = await guestSymbols(guest);
  const text = expected.find((line) => line.name === "_text")?.address ?? Number.NaN;
  const slide = text - fromFile.table.address("_text");

  await t.test("the boot image's table, moved by the slide, is the guest's", () => {
    const lines = [...fromFile.table].map((entry) => ({
      ...entry,
      address: entry.address < 0 ? entry.address + slide : entry.address,
    }));
    assertSame(lines, expected);
  });

  await t.test("the table in the guest's RAM is the guest's", () => {
    const fd = openSync(guest.ramPath ?? "", "r");
    const size = statSync(guest.ramPath ?? "").size;
    using memory = new MappedMemory("memfd", [{ fd, size }], [{ start: 0, size, offset: 0 }]);
    const table = liveTable(memory.u8, text, kernel);
    assertSame([...table], expected);
    const copy = deserializeSymbols(serializeSymbols(table));
    assert.ok(copy);
    assertSame([...copy], expected);
    for (const line of expected.filter((_, i) => i % 97 === 0)) {
      assert.ok(table.all(line.name).includes(line.address), line.name);
      if (line.address < 0) assert.equal(table.at(line.address)?.address, line.address);
    }
  });
  t.diagnostic(`${kernel.kernel.version}: ${expected.length} symbols`);
}

function assertSame(actual: readonly Line[], expected: readonly Line[]): void {
  const text = (line: Line | undefined) => line && `${line.address} ${line.type} ${line.name}`;
  assert.equal(actual.length, expected.length);
  const wrong = expected.findIndex((line, i) => text(line) !== text(actual[i]));
  assert.equal(text(actual[wrong]), text(expected[wrong]));
}

for (const name of kernelNames) test(`kallsyms of ${name}`, (t) => compare(t, name));
