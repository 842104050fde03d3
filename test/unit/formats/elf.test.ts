import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  allElfNotes,
  elfData,
  elfNotes,
  elfSection,
  ElfType,
  gnuBuildId,
  parseElf,
  SegmentType,
} from "../../../src/formats/elf.ts";
import type { Elf } from "../../../src/formats/elf.ts";
import { writeElf, writeNote } from "../../fixtures/elf-writer.ts";

function parsed(bytes: Uint8Array): Elf {
  const result = parseElf(bytes);
  assert.ok(result.ok, result.ok ? "" : result.reason);
  return result.elf;
}

function reason(bytes: Uint8Array): string {
  const result = parseElf(bytes);
  return result.ok ? "" : result.reason;
}

function changed(bytes: Uint8Array, at: number, ...values: number[]): Uint8Array {
  bytes.set(values, at);
  return bytes;
}

const kernel = () =>
  writeElf({
    sections: [
      { name: ".text", address: 0xffffffff81000000n, data: Uint8Array.of(0x90, 0xc3) },
      { name: ".bss", type: 8, address: 0xffffffff82000000n, size: 1 << 30 },
      { name: ".notes", type: 7, data: writeNote("GNU", 3, Uint8Array.of(0xab, 0xcd)) },
    ],
  });

const core = (extendedCount = false) =>
  writeElf({
    type: ElfType.CORE,
    extendedCount,
    segments: [
      {
        type: SegmentType.NOTE,
        data: Buffer.concat([
          writeNote("CORE", 1, Uint8Array.of(1, 2, 3)),
          writeNote("VMCOREINFO", 0, Buffer.from("OSRELEASE=6.1\n")),
        ]),
      },
      {
        type: SegmentType.LOAD,
        virtualAddress: 0xff11000000000000n,
        physicalAddress: 0x100000000n,
        data: Uint8Array.of(7, 7),
        memorySize: 4096,
      },
    ],
  });

describe("ELF", () => {
  test("sections by name, with their data", () => {
    const bytes = kernel();
    const elf = parsed(bytes);
    assert.equal(elf.type, ElfType.EXEC);
    assert.equal(elf.machine, 62);
    assert.equal(elf.entry, 0xffffffff81000000n);
    assert.deepEqual(
      elf.sections.map(({ name }) => name),
      ["", ".text", ".bss", ".notes", ".shstrtab"],
    );
    assert.deepEqual([...(elfSection(bytes, elf, ".text") ?? [])], [0x90, 0xc3]);
    assert.equal(elf.sections[1].address, 0xffffffff81000000n);
    assert.equal(elf.sections[2].size, 1 << 30);
    assert.equal(elfSection(bytes, elf, ".bss"), undefined);
    assert.equal(elfSection(bytes, elf, ".data"), undefined);
    assert.equal(gnuBuildId(allElfNotes(bytes, elf)), "abcd");
  });

  for (const extended of [false, true]) {
    test(`segments and notes of a core${extended ? " with an extended count" : ""}`, () => {
      const bytes = core(extended);
      const elf = parsed(bytes);
      assert.equal(elf.segments.length, 2);
      const load = elf.segments[1];
      assert.equal(load.virtualAddress, 0xff11000000000000n);
      assert.equal(load.physicalAddress, 2 ** 32);
      assert.deepEqual([load.fileSize, load.memorySize], [2, 4096]);
      assert.deepEqual([...(elfData(bytes, load) ?? [])], [7, 7]);
      const notes = allElfNotes(bytes, elf);
      assert.deepEqual(
        notes.map(({ name, type }) => [name, type]),
        [
          ["CORE", 1],
          ["VMCOREINFO", 0],
        ],
      );
      assert.equal(Buffer.from(notes[1].data).toString(), "OSRELEASE=6.1\n");
    });
  }

  test("the head of a file is enough, data outside are undefined", () => {
    const bytes = core();
    const head = bytes.subarray(0, 64 + 2 * 56);
    const elf = parsed(head);
    assert.equal(elf.segments.length, 2);
    assert.equal(elfData(head, elf.segments[1]), undefined);
    assert.deepEqual(allElfNotes(head, elf), []);
    assert.deepEqual(parsed(kernel().subarray(0, 100)).sections, []);
  });

  test("says why bytes are not such a file", () => {
    assert.match(reason(new Uint8Array(63)), /shorter/);
    assert.match(reason(new Uint8Array(64)), /no ELF magic/);
    assert.match(reason(changed(core(), 4, 1)), /64-bit/);
    assert.match(reason(changed(core(), 5, 2)), /little-endian/);
    assert.match(reason(changed(core(), 54, 1)), /size of program headers/);
    assert.match(reason(changed(core(), 32, 0, 0, 0, 0xff)), /lie outside/);
    assert.match(reason(changed(core(), 39, 0xff)), /lie outside/);
    assert.match(reason(changed(core(), 56, 0xff, 0xff)), /count of program headers/);
    assert.match(reason(changed(core(), 64 + 15, 0xff)), /impossible file range/);
    assert.match(reason(changed(kernel(), 58, 1)), /size of section headers/);
  });

  test("stops at a damaged note", () => {
    const good = writeNote("GNU", 3, Uint8Array.of(1));
    const bad = writeNote("GNU", 3, Uint8Array.of(2));
    bad[4] = 0xff;
    assert.equal(elfNotes(Buffer.concat([good, bad])).length, 1);
    assert.deepEqual(elfNotes(new Uint8Array(11)), []);
  });
});
