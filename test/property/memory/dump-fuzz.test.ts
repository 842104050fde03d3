import assert from "node:assert/strict";
import { test } from "node:test";
import { PAGE_SIZE } from "../../../src/base/address.ts";
import { KvmsecError } from "../../../src/base/errors.ts";
import { openDump } from "../../../src/memory/open-dump.ts";
import type { DumpMemory } from "../../../src/memory/dump-memory.ts";
import { avml, cpuNotes, elfCore, flattened, kdump, lime } from "../../fixtures/dump-writers.ts";
import { randomNumbers, randomRam } from "../../fixtures/sparse-ram.ts";
import { TemporaryFolder } from "../../fixtures/temporary.ts";

const RUNS = Number(process.env["KVMSEC_FUZZ_RUNS"] ?? 600);

const ram = randomRam(
  [
    { start: 0, size: 40 * PAGE_SIZE },
    { start: 2 ** 20, size: 30 * PAGE_SIZE },
  ],
  99,
);
const { status, state } = cpuNotes(0, 0x1000n, 0x20n);
const notes = Buffer.concat([status, state]);
const originals = [
  elfCore(ram, { notes }),
  elfCore(ram, { bits: 32, extended: true }),
  kdump(ram, { codec: "zlib", notes }),
  kdump(ram, { codec: "lzo", bits: 32 }),
  kdump(ram, { codec: "snappy", split: { start: 5, end: 300 } }),
  kdump(ram, { codec: "zstd", dumpLevel: 1, excluded: (at) => ram.isZero(at) }),
  flattened(kdump(ram, { codec: "lzo", notes })),
  flattened(elfCore(ram)),
  lime(ram),
  avml(ram, 20 * PAGE_SIZE),
];

/** Values that bounds checks get wrong. */
const nasty = [0, 1, 0x7f, 0x80, 0xff, 0x1000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

function mutate(file: Buffer, next: () => number): Buffer {
  const copy = Buffer.from(file);
  // Most damage goes where the structures are: the first pages, and pieces' headers anywhere.
  const reach = next() % 4 === 0 ? copy.length : Math.min(copy.length, 24_576);
  for (let count = 1 + (next() % 6); count > 0; count--) {
    const at = (next() % Math.max(1, reach - 8)) & ~3;
    const kind = next() % 4;
    if (kind === 0) copy[at] ^= 1 << (next() % 8);
    else if (kind === 1) copy.writeUInt32LE(nasty[next() % nasty.length], at);
    else if (kind === 2) copy.writeUInt32LE(next(), at);
    else
      copy.copy(copy, at, next() % copy.length, Math.min(copy.length, (next() % copy.length) + 64));
  }
  return next() % 8 === 0 ? copy.subarray(0, next() % copy.length) : copy;
}

/** Uses everything of an opened dump; any exception fails the test. */
function exercise(memory: DumpMemory, next: () => number): void {
  assert.ok(memory.ranges.length <= 2 ** 20);
  for (const { start, size } of [
    ...memory.ranges.slice(0, 12),
    ...memory.populated().slice(0, 12),
  ]) {
    assert.ok(start >= 0 && size > 0 && start % PAGE_SIZE === 0 && size % PAGE_SIZE === 0);
    memory.bytes(start, Math.min(size, 200_000));
    for (const at of [start, start + size - 1, start + (next() % size)]) {
      const offset = memory.offsetOf(at);
      assert.ok(offset === -1 || (offset >= 0 && offset < memory.u8.length));
      assert.ok(offset === -1 || offset % PAGE_SIZE === at % PAGE_SIZE);
    }
  }
  for (const odd of [-1, -PAGE_SIZE, Number.NaN, 2 ** 52, 2 ** 60, Number.POSITIVE_INFINITY]) {
    assert.equal(memory.offsetOf(odd), -1);
    assert.equal(memory.bytes(odd, 8), undefined);
  }
  assert.equal(memory.bytes(memory.ranges[0]?.start ?? 0, 2 ** 40), undefined);
  assert.ok(memory.notes.cpus.length <= 8192);
}

test(`${RUNS} damaged dumps open with an error or read with faults`, (t) => {
  using folder = new TemporaryFolder();
  const next = randomNumbers(0x5eed);
  const codes = new Map<string, number>();
  const before = process.memoryUsage().rss;
  for (let run = 0; run < RUNS; run++) {
    const original = originals[run % originals.length];
    const path = folder.file("dump", mutate(original, next));
    const options = { salvage: next() % 3 === 0, raw: next() % 50 === 0 };
    let outcome = "opened";
    try {
      using memory = openDump(path, options);
      exercise(memory, next);
    } catch (error) {
      assert.ok(error instanceof KvmsecError, `run ${run}: ${String((error as Error).stack)}`);
      outcome = error.code;
    }
    codes.set(outcome, (codes.get(outcome) ?? 0) + 1);
  }
  t.diagnostic([...codes].map(([code, count]) => `${code} ${count}`).join(", "));
  const grown = (process.memoryUsage().rss - before) / 2 ** 20;
  assert.ok(grown < 1024, `memory grew by ${grown} MiB`);
  // Both ends must have been reached, or the mutations test nothing.
  assert.ok((codes.get("opened") ?? 0) > RUNS / 10);
  assert.ok((codes.get("KVMSEC_DUMP_DAMAGED") ?? 0) > RUNS / 50);
});
