import assert from "node:assert/strict";
import { test } from "node:test";
import { AddressFolding } from "../../../src/arch/x86/address-folding.ts";
import { visitKernelPages } from "../../../src/arch/x86/mapped-ranges.ts";
import type { KernelPage } from "../../../src/arch/x86/mapped-ranges.ts";
import { Budget } from "../../../src/base/budget.ts";
import { flatMemory } from "../../fixtures/toy-kernel.ts";

const [PRESENT, WRITABLE, USER, LARGE] = [1, 2, 4, 0x80];
const NO_EXECUTE = 0x8000_0000;
const SIZE = 0x5000;
/** -2^47 + 2^30, behind the first two tables. */
const START = -(2 ** 47) + 2 ** 30;

/** Tables at 0, 0x1000, 0x2000 and 0x3000, and what the walk over them says. */
function walk(entries: readonly (readonly [at: number, low: number, high?: number])[]) {
  const ram = new DataView(new ArrayBuffer(SIZE));
  ram.setUint32(256 * 8, 0x1000 | PRESENT | WRITABLE | USER, true);
  ram.setUint32(0x1000 + 8, 0x2000 | PRESENT | WRITABLE | USER, true);
  for (const [at, low, high = 0] of entries) {
    ram.setUint32(at, low, true);
    ram.setUint32(at + 4, high, true);
  }
  const pages: KernelPage[] = [];
  const tables = { root: 0, levels: 4 } as const;
  const told = visitKernelPages(
    flatMemory(ram.buffer),
    new AddressFolding(),
    tables,
    new Budget(),
    (page) => pages.push(page),
  );
  return { ...told, pages };
}

test("rights are what all levels of the tables grant together", () => {
  const { ended, missing, pages } = walk([
    [0x2000, 0x3000 | PRESENT | WRITABLE],
    [0x2008, 0x20_0000 | PRESENT | WRITABLE | USER | LARGE],
    [0x3000, 0x4000 | PRESENT | WRITABLE | USER],
    [0x3008, 0x4000 | PRESENT | USER, NO_EXECUTE],
    [0x3010, 0x4000],
  ]);
  assert.deepEqual({ ended, missing }, { ended: true, missing: 0 });
  const small = { size: 4096, physical: 0x4000, user: false };
  assert.deepEqual(pages, [
    { ...small, start: START, writable: true, executable: true },
    { ...small, start: START + 4096, writable: false, executable: false },
    {
      start: START + 2 ** 21,
      size: 2 ** 21,
      physical: 0x20_0000,
      writable: true,
      executable: true,
      user: true,
    },
  ]);
});

test("without the top table nothing is said to have been seen", () => {
  const memory = flatMemory(new ArrayBuffer(SIZE));
  const tables = { root: SIZE, levels: 5 } as const;
  const seen: KernelPage[] = [];
  const told = visitKernelPages(memory, new AddressFolding(), tables, new Budget(), (page) =>
    seen.push(page),
  );
  assert.deepEqual(seen, []);
  assert.deepEqual(told, { ended: true, missing: 1, excess: 0 });
});

test("regions that were populated since are seen, and those beyond what can be told apart are counted", () => {
  const ram = new DataView(new ArrayBuffer(SIZE));
  const regions = Array.from({ length: 40 }, (_, at) => 300 + at);
  for (const index of regions) ram.setUint32(index * 8, 0x1000 | PRESENT, true);
  // Another has a table that is empty, as a kernel gives to regions of vmalloc beforehand.
  ram.setUint32(290 * 8, 0x4000 | PRESENT, true);
  ram.setUint32(0x1000, 0x2000 | PRESENT, true);
  ram.setUint32(0x2000, 0x4000_0000 | PRESENT | LARGE, true);
  const folding = new AddressFolding();
  const starts: string[] = [];
  const { ended, missing, excess } = visitKernelPages(
    flatMemory(ram.buffer),
    folding,
    { root: 0, levels: 5 },
    new Budget(),
    ({ start }) => starts.push(folding.format(start)),
  );
  assert.deepEqual({ ended, missing, excess }, { ended: true, missing: 0, excess: 9 });
  assert.deepEqual(
    starts,
    regions.slice(0, 31).map((index) => `0x${(0xfe00 + index).toString(16)}${"0".repeat(12)}`),
  );
});

test("a table that is not in memory is counted, and the walk goes on behind it", () => {
  const { missing, pages } = walk([
    [0x2000, SIZE | PRESENT],
    [0x2008, 0xffff_f000 | PRESENT, 0xf_ffff],
    [0x2010, 0x3000 | PRESENT],
    [0x3000, 0x4000 | PRESENT],
  ]);
  assert.equal(missing, 2);
  assert.deepEqual(
    pages.map(({ start }) => start),
    [START + 2 * 2 ** 21],
  );
});
