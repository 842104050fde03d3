import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { removeProbes } from "../../../src/linux/kernel-text/planted-probes.ts";
import type { Probes } from "../../../src/linux/kernel-text/planted-probes.ts";

const BASE = -0x1_0000;
const SLOT = BASE + 0x4000;

function probes(...at: readonly [number, number, number[]?][]): Probes {
  return {
    at: new Map(
      at.map(([offset, opcode, copied]) => [
        BASE + offset,
        { opcode, copied: copied && Uint8Array.from(copied) },
      ]),
    ),
    isProbeCode: (target) => target >= SLOT && target < SLOT + 0x1000,
  };
}

/** The distance of a five-byte jump from `offset` to the probes' code. */
function distance(offset: number): number[] {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(SLOT - (BASE + offset + 5));
  return [...bytes];
}

test("breakpoints side by side are put back, and others stay", () => {
  const code = Uint8Array.of(0x0f, 0xcc, 0xcc, 0x90, 0xcc, 0x90);
  assert.ok(removeProbes(code, BASE, probes([1, 0x41], [2, 0x57])));
  assert.deepEqual([...code], [0x0f, 0x41, 0x57, 0x90, 0xcc, 0x90]);
});

test("an optimised probe's jump is put back, also half written", () => {
  const copied = [0x57, 0x41, 0x56, 0x41];
  for (const first of [0xe9, 0xcc]) {
    const code = Uint8Array.of(0x90, first, ...distance(1), 0x90);
    assert.ok(removeProbes(code, BASE, probes([1, 0x41, copied])));
    assert.deepEqual([...code], [0x90, 0x41, ...copied, 0x90]);
  }
});

test("a jump to somewhere else is no probe's", () => {
  const code = Uint8Array.of(0x90, 0xe9, 1, 2, 3, 4, 0x90);
  assert.ok(!removeProbes(code, BASE, probes([1, 0x41, [1, 2, 3, 4]])));
  assert.deepEqual([...code], [0x90, 0xe9, 1, 2, 3, 4, 0x90]);
});

test("whatever a guest registers, only bytes under its probes change", () => {
  const probe = fc.tuple(fc.integer({ min: -8, max: 72 }), fc.nat(255));
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.array(probe), (bytes, wanted) => {
      const code = Uint8Array.from(bytes);
      const each = wanted.map(([at, opcode]): [number, number, number[]] => [
        at,
        opcode,
        [1, 2, 3, 4],
      ]);
      removeProbes(code, BASE, { ...probes(...each), isProbeCode: () => true });
      const near = (at: number): boolean => wanted.some(([from]) => at >= from && at < from + 5);
      for (const [at, byte] of code.entries()) assert.ok(byte === bytes[at] || near(at));
    }),
  );
});
