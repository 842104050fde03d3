import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PAGE_SIZE } from "../../../src/base/address.ts";
import { openDump } from "../../../src/memory/open-dump.ts";
import type { OpenDumpOptions } from "../../../src/memory/open-dump.ts";
import type { PhysicalMemory, PhysicalRange } from "../../../src/memory/physical-memory.ts";
import {
  avml,
  collapsed,
  elfCore,
  flattened,
  kdump,
  lime,
  raw,
} from "../../fixtures/dump-writers.ts";
import type { Codec } from "../../fixtures/dump-writers.ts";
import { randomRam } from "../../fixtures/sparse-ram.ts";
import type { SparseRam } from "../../fixtures/sparse-ram.ts";
import { TemporaryFolder } from "../../fixtures/temporary.ts";

type Format = { name: string; write: (ram: SparseRam, seed: number) => Buffer };

const codecs: Codec[] = ["none", "zlib", "lzo", "snappy", "zstd"];
const formats: Format[] = [
  { name: "elf-core", write: (ram) => elfCore(ram) },
  { name: "elf-core", write: (ram) => elfCore(ram, { bits: 32, extended: true }) },
  { name: "elf-core", write: (ram) => elfCore(ram, { loads: repeated(ram) }) },
  { name: "elf-core", write: (ram, seed) => flattened(elfCore(ram), seed) },
  { name: "lime", write: lime },
  { name: "avml", write: (ram) => avml(ram) },
  { name: "avml", write: (ram) => avml(ram, 5 * PAGE_SIZE) },
  ...codecs.flatMap((codec): Format[] => [
    { name: "kdump", write: (ram) => kdump(ram, { codec }) },
    { name: "kdump", write: (ram) => kdump(ram, { codec, bits: 32 }) },
    { name: "kdump", write: (ram, seed) => flattened(kdump(ram, { codec }), seed) },
    {
      name: "kdump",
      write: (ram) => kdump(ram, { codec, dumpLevel: 1, excluded: (at) => ram.isZero(at) }),
    },
  ]),
];

/** Loads as paging gives them: the same memory several times, in parts, in any order. */
function repeated(ram: SparseRam): { physical: number; size: number }[] {
  return ram.ranges.flatMap(({ start, size }) => {
    const part = Math.ceil(size / PAGE_SIZE / 3) * PAGE_SIZE;
    const parts = [0, part, 2 * part].filter((at) => at < size);
    const loads = parts.map((at) => ({
      physical: start + at,
      size: Math.min(part + PAGE_SIZE, size - at),
    }));
    return [...loads.toReversed(), { physical: start, size: Math.min(part, size) }];
  });
}

/** Sorted ranges with gaps between them, up to a few hundred pages in all. */
const ranges = fc
  .array(fc.record({ gap: fc.nat(40), pages: fc.integer({ min: 1, max: 60 }) }), {
    minLength: 1,
    maxLength: 4,
  })
  .map((parts) => {
    let at = 0;
    return parts.map(({ gap, pages }, index): PhysicalRange => {
      const start = at + (index === 0 ? gap : gap + 1) * PAGE_SIZE;
      at = start + pages * PAGE_SIZE;
      return { start, size: pages * PAGE_SIZE };
    });
  });

function assertSame(memory: PhysicalMemory, ram: SparseRam): void {
  assert.deepEqual(memory.ranges, ram.ranges);
  for (const address of ram.addresses()) {
    const at = memory.offsetOf(address);
    assert.ok(at >= 0 && at % PAGE_SIZE === 0, `page ${address}`);
    assert.deepEqual(memory.u8.slice(at, at + PAGE_SIZE), ram.read(address, PAGE_SIZE));
  }
  for (const { start, size } of ram.ranges) {
    assert.deepEqual(memory.bytes(start, size), ram.read(start, size));
    const odd = { at: start + 100, length: Math.min(size - 100, 3 * PAGE_SIZE + 7) };
    assert.deepEqual(memory.bytes(odd.at, odd.length), ram.read(odd.at, odd.length));
    assert.equal(memory.bytes(start, size + 1), undefined);
    if (start > 0) assert.equal(memory.offsetOf(start - 1) >= 0, inside(ram, start - 1));
    assert.equal(memory.offsetOf(start + size) >= 0, inside(ram, start + size));
  }
}

const inside = (ram: SparseRam, at: number): boolean =>
  ram.ranges.some(({ start, size }) => at >= start && at < start + size);

function assertPopulated(memory: PhysicalMemory, ram: SparseRam): void {
  const populated = memory.populated?.() ?? memory.ranges;
  for (const address of ram.addresses()) {
    const listed = populated.some((r) => address >= r.start && address < r.start + r.size);
    assert.ok(listed || ram.isZero(address), `page ${address} is not zero, but not listed`);
  }
}

function roundTrip(name: string, ram: SparseRam, file: Buffer, options?: OpenDumpOptions): void {
  using folder = new TemporaryFolder();
  using memory = openDump(folder.file("dump", file), options);
  assert.equal(memory.kind, name);
  assertSame(memory, ram);
  assertPopulated(memory, ram);
  assert.equal(memory.damagedPages, 0);
}

test("every dump format gives back the memory that was written", () => {
  fc.assert(
    fc.property(ranges, fc.integer(), fc.constantFrom(...formats), (ranges, seed, format) => {
      const ram = randomRam(ranges, seed);
      roundTrip(format.name, ram, format.write(ram, seed));
    }),
    { seed: 20261, numRuns: 200 },
  );
});

test("raw images give back the memory that was written, the hole padded or left out", () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 260, max: 400 }), (seed, pages) => {
      const ram = randomRam([{ start: 0, size: pages * PAGE_SIZE }], seed);
      roundTrip("raw", ram, raw(ram));
      const lowSize = 130 * PAGE_SIZE;
      const high = { start: 2 ** 32, size: pages * PAGE_SIZE };
      const split = randomRam([{ start: 0, size: lowSize }, high], seed);
      roundTrip("raw", split, collapsed(split), { lowSize });
    }),
    { seed: 20262, numRuns: 10 },
  );
});
