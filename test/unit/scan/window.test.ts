import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Piece } from "../../../src/scan/region.ts";
import { Windows } from "../../../src/scan/window.ts";

const PAGE = 4096;
const SIZE = 8 * PAGE;
const SHARED = 2 * PAGE;
const MIB = 2 ** 20;

/** Stretches of memory with gaps between them, from a base that may lie in the kernel's half. */
const layouts = fc.record({
  base: fc.constantFrom(0, 0x7000_0000_0000, -(2 ** 46)),
  runs: fc.array(
    fc.record({
      gap: fc.constantFrom(0, 1, 2, 7, 30, 600),
      pages: fc.integer({ min: 1, max: 20 }),
    }),
    { minLength: 1, maxLength: 6 },
  ),
  cut: fc.integer({ min: 1, max: 5 }),
});

type Layout = typeof layouts extends fc.Arbitrary<infer Value> ? Value : never;

/** What is in memory, by address, in pieces of `cut` pages. */
function piecesOf({ base, runs, cut }: Layout): { pieces: Piece[]; pages: number[] } {
  const pieces: Piece[] = [];
  const pages: number[] = [];
  let at = base;
  for (const { gap, pages: count } of runs) {
    at += gap * PAGE;
    for (let done = 0; done < count; done += cut) {
      const size = Math.min(cut, count - done);
      const bytes = new Uint8Array(size * PAGE);
      for (let page = 0; page < size; page++) {
        const address = at + (done + page) * PAGE;
        pages.push(address);
        new DataView(bytes.buffer).setFloat64(page * PAGE, address);
      }
      pieces.push({ at: at + done * PAGE, bytes });
    }
    at += count * PAGE;
  }
  return { pieces, pages };
}

test("each page is in a window at its place, and new in one only; what is not there is zeros and told", () => {
  fc.assert(
    fc.property(layouts, (layout) => {
      const { pieces, pages } = piecesOf(layout);
      const fresh: number[] = [];
      for (const { at, bytes, overlap, isPresent } of new Windows(SIZE, SHARED).over(pieces)) {
        assert.ok(bytes.length <= SIZE && bytes.length > overlap);
        for (let offset = 0; offset < bytes.length; offset += PAGE) {
          if (!isPresent(offset, PAGE)) {
            assert.ok(bytes.subarray(offset, offset + PAGE).every((byte) => byte === 0));
            continue;
          }
          assert.equal(bytes.readDoubleBE(offset), at + offset);
          if (offset >= overlap) fresh.push(at + offset);
        }
      }
      assert.deepEqual(fresh, pages);
    }),
  );
});

test("two neighbouring pages are together in some window, wherever windows end", () => {
  fc.assert(
    fc.property(layouts, (layout) => {
      const { pieces, pages } = piecesOf(layout);
      const together = new Set<number>();
      for (const { at, bytes, isPresent } of new Windows(SIZE, SHARED).over(pieces)) {
        for (let offset = 0; offset + PAGE < bytes.length; offset += PAGE) {
          if (isPresent(offset, 2 * PAGE)) together.add(at + offset);
        }
      }
      const all = new Set(pages);
      for (const page of pages) assert.equal(together.has(page), all.has(page + PAGE));
    }),
  );
});

test("pieces that go back, as a forged table may have them, are windows of their own", () => {
  const bytes = new Uint8Array(PAGE).fill(1);
  const pieces = [0, 5 * MIB, PAGE, PAGE].map((at) => ({ at, bytes }));
  const seen = Array.from(new Windows(SIZE, SHARED).over(pieces), ({ at }) => at);
  assert.deepEqual(seen, [0, 5 * MIB, PAGE]);
});

test("the windows of one region hold nothing of the region before", () => {
  const windows = new Windows(SIZE, SHARED);
  const full = { at: 0, bytes: new Uint8Array(SIZE).fill(7) };
  for (const window of windows.over([full])) {
    assert.equal(window.bytes.length, SIZE);
    // Whoever stops in the middle leaves it as it is.
    break;
  }
  const small = [0, 3 * PAGE].map((at) => ({ at, bytes: new Uint8Array(8).fill(1) }));
  const [only] = [...windows.over(small)].map(({ bytes }) =>
    [...bytes].filter((byte) => byte === 7),
  );
  assert.deepEqual(only, []);
});
