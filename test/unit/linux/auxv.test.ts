import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { AuxiliaryVectors } from "../../../src/linux/auxv.ts";
import { BtfWriter } from "../../fixtures/btf-writer.ts";
import { toyKernel } from "../../fixtures/toy-kernel.ts";
import type { ToyKernel } from "../../fixtures/toy-kernel.ts";

const MM = 0x1000;
const VECTOR = 0x40;
const WORDS = 52;

function toy(vector: Uint8Array): ToyKernel {
  const types = new BtfWriter();
  const long = types.int("unsigned long", 8);
  const words = types.array(long, WORDS, long);
  types.struct("mm_struct", 0x400, [["saved_auxv", words, VECTOR * 8]]);
  const own = toyKernel(types);
  new Uint8Array(own.ram.buffer).set(vector.subarray(0, WORDS * 8), MM + VECTOR);
  return own;
}

test("this program's own vector tells who started it", () => {
  const own = toy(readFileSync("/proc/self/auxv"));
  assert.deepEqual(new AuxiliaryVectors(own.kernel).startedAs(own.at(MM)), {
    uid: process.getuid?.(),
    euid: process.geteuid?.(),
    secure: false,
  });
});

test("a vector of 32-bit numbers is read as such", () => {
  const narrow = Uint32Array.of(33, 0xf7f0_0000, 11, 1000, 12, 0, 23, 1, 0, 0);
  const own = toy(new Uint8Array(narrow.buffer));
  assert.deepEqual(new AuxiliaryVectors(own.kernel).startedAs(own.at(MM)), {
    uid: 1000,
    euid: 0,
    secure: true,
  });
});

test("any memory is read, and what does not tell all three tells nothing", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: WORDS * 8 }), (noise) => {
      const own = toy(noise);
      const found = new AuxiliaryVectors(own.kernel).startedAs(own.at(MM));
      if (found !== undefined) assert.equal(typeof found.uid, "number");
    }),
  );
  assert.equal(
    new AuxiliaryVectors(toy(new Uint8Array(8)).kernel).startedAs(toy(new Uint8Array(8)).at(MM)),
    undefined,
  );
});
