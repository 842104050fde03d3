import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { residentPages } from "../../src/arch/x86/resident-pages.ts";
import { Budget } from "../../src/base/budget.ts";
import type { PhysicalMemory } from "../../src/memory/physical-memory.ts";

const PAGES = 16;
const PAGE = 4096;
const STEPS = 20_000;

/** A few pages of memory whose words are entries of page tables that lead anywhere, circles included. */
function forged(words: readonly bigint[]): PhysicalMemory {
  const bytes = new Uint8Array(PAGES * PAGE);
  const entries = new BigUint64Array(bytes.buffer);
  for (let index = 0; index < entries.length; index++)
    entries[index] = words[index % words.length]!;
  const offsetOf = (physical: number) => (physical >= 0 && physical < bytes.length ? physical : -1);
  const parts = { u8: bytes, u32: new Uint32Array(bytes.buffer), ranges: [], kind: "forged" };
  const rest = { live: false, stable: true, bytes: () => undefined, refresh: () => {} };
  return { ...parts, ...rest, offsetOf, [Symbol.dispose]: () => {} };
}

const entry = fc
  .record({ frame: fc.bigInt({ min: 0n, max: 40n }), flags: fc.bigInt({ min: 0n, max: 0xfffn }) })
  .map(({ frame, flags }) => (frame << 12n) | flags);
const anything = fc.oneof(entry, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }));

test("a walk over forged page tables ends within its budget, ascending, inside the range", () => {
  fc.assert(
    fc.property(
      fc.array(anything, { minLength: 1, maxLength: 7 }),
      fc.constantFrom(4, 5),
      fc.nat(2 ** 40),
      fc.integer({ min: 1, max: 2 ** 36 }),
      (words, levels, start, size) => {
        const range = { start, end: start + size };
        const tables = { root: 0, levels } as never;
        let last = -1;
        let steps = 0;
        for (const page of residentPages(forged(words), tables, range, new Budget(STEPS))) {
          assert.ok(page.at > last && page.at >= start && page.at + page.length <= range.end);
          assert.ok(page.length > 0 && page.physical >= 0);
          last = page.at;
          steps++;
        }
        assert.ok(steps <= STEPS);
      },
    ),
  );
});
