import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readAround } from "../../../src/linux/memory-reading.ts";
import { hexDump } from "../../../src/cli/hex-dump.ts";

const PAGE = 4096;

test("missing pages are told, and all others read", () => {
  const pages = fc.array(fc.boolean(), { minLength: 1, maxLength: 8 });
  const within = fc.nat({ max: 8 * PAGE });
  fc.assert(
    fc.property(pages, within, within, (present, from, to) => {
      const base = -(2 ** 40);
      const [start, end] = [from, to].toSorted((a, b) => a - b);
      const isThere = (offset: number): boolean => present[Math.floor(offset / PAGE)] ?? false;
      const copy = (address: number, target: Uint8Array): number => {
        let done = 0;
        for (; done < target.length && isThere(address - base + done); done++) {
          target[done] = ((address - base + done) % 255) + 1;
        }
        return done;
      };
      const { bytes, missing } = readAround(copy, base + start, end - start);
      assert.equal(bytes.length, end - start);
      const lost = new Set<number>();
      for (const { offset, length } of missing) {
        for (let at = offset; at < offset + length; at++) lost.add(at);
      }
      for (let at = 0; at < bytes.length; at++) {
        assert.equal(lost.has(at), !isThere(start + at));
        assert.equal(bytes[at], lost.has(at) ? 0 : ((start + at) % 255) + 1);
      }
    }),
    { numRuns: 30 },
  );
});

test("a dump marks what could not be read", () => {
  const bytes = Uint8Array.from("kvmsec\0reads bytes!", (character) => character.charCodeAt(0));
  const reading = { bytes, missing: [{ offset: 7, length: 5 }] };
  assert.deepEqual(
    hexDump(reading, (offset) => `@${offset}`),
    [
      "@0  6b 76 6d 73 65 63 00 ??  ?? ?? ?? ?? 20 62 79 74  |kvmsec.????? byt|",
      "@16  65 73 21                                          |es!|",
    ],
  );
});
