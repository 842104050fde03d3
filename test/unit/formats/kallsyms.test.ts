import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { findKallsyms } from "../../../src/formats/kallsyms.ts";
import type { KallsymsOptions, KallsymsResult } from "../../../src/formats/kallsyms.ts";
import { sampleSymbols, writeKallsyms } from "../../fixtures/kallsyms-writer.ts";
import type { KallsymsSpec, KernelSymbol } from "../../fixtures/kallsyms-writer.ts";

const BASE = -0x7f000000;
const BANNER = "Linux version 6.1.0 (gcc) #1 SMP";
const BANNER_AT = 0x3000;

type Layout = Pick<KallsymsSpec, "order" | "seqs" | "addressing" | "align">;

const LAYOUTS: Readonly<Record<string, Layout>> = {
  "5.10": { order: "old", seqs: false, addressing: "percpu", align: 8 },
  "6.1.42": { order: "old", seqs: true, addressing: "percpu", align: 8 },
  "6.4": { order: "new", seqs: true, addressing: "percpu", align: 8 },
  "6.15": { order: "new", seqs: true, addressing: "relative", align: 8 },
  "7.0": { order: "new", seqs: true, addressing: "pc-relative", align: 4 },
  "5.10 without relative base": { order: "old", seqs: false, addressing: "absolute", align: 8 },
  "6.4 without relative base": { order: "new", seqs: true, addressing: "absolute", align: 8 },
};

/** An image with a banner in it and a table for each spec. */
function image(...specs: KallsymsSpec[]): Uint8Array {
  const bytes = new Uint8Array(0x40000);
  bytes.set(Buffer.from(BANNER), BANNER_AT);
  for (const spec of specs) bytes.set(writeKallsyms(spec).bytes, spec.at);
  return bytes;
}

function spec(layout: Layout, symbols: readonly KernelSymbol[], at = 0x5000): KallsymsSpec {
  return { ...layout, symbols, imageBase: BASE, at };
}

function withBanner(symbols: readonly KernelSymbol[]): KernelSymbol[] {
  const banner = { name: "linux_banner", type: "D", address: BASE + BANNER_AT };
  return [...symbols, banner].toSorted(
    (a, b) => Number(a.address < 0) - Number(b.address < 0) || a.address - b.address,
  );
}

function found(result: KallsymsResult): Extract<KallsymsResult, { ok: true }> {
  assert.ok(result.ok, result.ok ? "" : result.reason);
  return result;
}

function find(bytes: Uint8Array, options?: KallsymsOptions): KallsymsResult {
  return findKallsyms(bytes, BASE, options);
}

describe("kallsyms", () => {
  for (const [release, layout] of Object.entries(LAYOUTS)) {
    for (const count of [600, 1024, 1025]) {
      test(`layout of ${release}, ${count} symbols`, () => {
        const symbols = sampleSymbols(count, BASE, layout.addressing === "percpu" ? 20 : 0);
        const result = found(find(image(spec(layout, symbols))));
        assert.equal(result.candidates.length, 1);
        assert.equal(result.candidates[0].layout.addressing, layout.addressing);
        const expected = symbols.toSorted((a, b) => a.address - b.address);
        assert.deepEqual([...result.table], expected);
      });
    }
  }

  test("takes an address of the image as bigint, and an unaligned view", () => {
    const bytes = new Uint8Array(0x40003);
    bytes.set(image(spec(LAYOUTS["6.15"], sampleSymbols(600, BASE))), 3);
    const result = found(findKallsyms(bytes.subarray(3), 0xffffffff81000000n));
    assert.equal(result.table.address("_text"), BASE);
  });

  test("keeps nothing of the image", () => {
    const bytes = image(spec(LAYOUTS["6.4"], sampleSymbols(600, BASE)));
    const { table } = found(find(bytes));
    bytes.fill(0);
    assert.equal(table.name(5), table.entry(5).name);
    assert.equal(table.address("_stext"), BASE);
  });

  test("names of more than 127 tokens", () => {
    const long = { name: "Q".repeat(300), type: "T", address: BASE + 0x20000 };
    const symbols = [...sampleSymbols(600, BASE), long];
    const { table } = found(find(image(spec(LAYOUTS["6.15"], symbols))));
    assert.equal(table.address(long.name), long.address);
  });

  test("tells base-relative from PC-relative addresses by what they point at", () => {
    for (const release of ["6.15", "7.0"]) {
      const layout = LAYOUTS[release];
      const symbols = withBanner(sampleSymbols(600, BASE));
      const [candidate] = found(find(image(spec(layout, symbols)))).candidates;
      assert.equal(candidate.layout.addressing, layout.addressing);
      assert.deepEqual(candidate.anchors, ["linux_banner"]);
    }
  });

  test("two tables: the one whose symbols hold comes first", () => {
    const real = withBanner(sampleSymbols(600, BASE));
    const forged = sampleSymbols(900, BASE + 0x100);
    const layout = LAYOUTS["6.15"];
    const bytes = image(spec(layout, forged), spec(layout, real, 0x20000));
    const { table, candidates } = found(find(bytes));
    assert.deepEqual(
      candidates.map((candidate) => candidate.table.size),
      [601, 900],
    );
    assert.equal(table.address("_text"), BASE);
  });

  test("the caller's word outranks what the tables say of themselves", () => {
    const lying = withBanner(sampleSymbols(900, BASE));
    const real = sampleSymbols(600, BASE + 0x40);
    const layout = LAYOUTS["6.4"];
    const bytes = image(spec(layout, lying), spec(layout, real, 0x20000));
    const confirm = (name: string, address: number) =>
      name === "_text" ? address === BASE + 0x40 : undefined;
    const { table, candidates } = found(find(bytes, { confirm }));
    assert.equal(table.size, 600);
    assert.deepEqual(
      candidates.map(({ confirmed }) => confirmed),
      [true, false],
    );
    assert.equal(found(find(bytes)).table.size, 901);
  });

  test("names the step that failed", () => {
    const symbols = sampleSymbols(600, BASE);
    const at = writeKallsyms(spec(LAYOUTS["6.4"], symbols)).offsets;
    const reason = (change: (bytes: Uint8Array) => void) => {
      const bytes = image(spec(LAYOUTS["6.4"], symbols));
      change(bytes);
      const result = find(bytes);
      return result.ok ? "" : result.reason;
    };
    assert.match(
      reason((bytes) => bytes.fill(0)),
      /no kallsyms token table/,
    );
    assert.match(
      reason((bytes) => (bytes[at.tokenIndex + 8]++, bytes)),
      /no kallsyms token table/,
    );
    assert.match(
      reason((bytes) => bytes.fill(7, at.markers, at.markers + 8)),
      /no markers/,
    );
    assert.match(
      reason((bytes) => (bytes[at.count]++, bytes)),
      /runs out|no markers|longer|marker|is empty/,
    );
    assert.match(
      reason((bytes) => bytes.fill(0xc1, at.offsets)),
      /stored in none of the known ways/,
    );
    assert.match(
      reason((bytes) => bytes.fill(0x31, at.names + 1, at.names + 2)),
      /no symbol type/,
    );
  });

  test("images too small for anything", () => {
    for (let length = 0; length < 70; length++) {
      assert.equal(findKallsyms(new Uint8Array(length), BASE).ok, false);
      assert.equal(findKallsyms(new Uint8Array(length + 1).subarray(1), BASE).ok, false);
    }
  });

  test("a flood of forged tables ends soon, and is told", () => {
    const good = spec(LAYOUTS["6.4"], sampleSymbols(520, BASE));
    const { bytes, offsets } = writeKallsyms({ ...good, at: 0 });
    // Whole up to the last name: only decoding shows that it has no type.
    bytes[offsets.names + 1] = 0x31;
    const size = Math.ceil(bytes.length / 64) * 64;
    const flood = new Uint8Array(size * 40);
    for (let i = 0; i < 40; i++) flood.set(bytes, i * size);
    const result = find(flood);
    assert.equal(result.ok ? "" : result.reason, "too many look-alikes of kallsyms tables");
  });

  test("a flood of look-alikes ends soon", () => {
    const digits = Buffer.from("0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0");
    const flood = Buffer.alloc(1 << 20);
    for (let at = 0; at < flood.length; at += digits.length) digits.copy(flood, at);
    assert.equal(find(flood).ok, false);
  });
});
