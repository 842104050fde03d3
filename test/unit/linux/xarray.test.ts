import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Budget } from "../../../src/base/budget.ts";
import { XArrays } from "../../../src/linux/xarray.ts";
import { BtfWriter } from "../../fixtures/btf-writer.ts";
import { toyKernel } from "../../fixtures/toy-kernel.ts";
import type { ToyKernel } from "../../fixtures/toy-kernel.ts";

const XARRAY = 0x100;
const HEAD = 8;
const IDR = 0x200;
const SLOTS = 8;
const NODE_SIZE = 0x240;
const FIRST_NODE = 0x1000;

function toy(): ToyKernel {
  const types = new BtfWriter();
  const byte = types.int("unsigned char", 1);
  const int = types.int("unsigned int", 4);
  const pointer = types.pointer(0);
  const slots = types.array(pointer, 64, int);
  const xarray = types.struct("xarray", 16, [["xa_head", pointer, HEAD * 8]]);
  types.struct("xa_node", NODE_SIZE, [
    ["shift", byte, 0],
    ["slots", slots, SLOTS * 8],
  ]);
  types.struct("idr", 24, [
    ["idr_rt", xarray, 0],
    ["idr_base", int, 128],
  ]);
  return toyKernel(types, 0x4_0000);
}

/** Stores entries as the kernel does: a node for each 64 indices, and one above for each 64 of them. */
class Writer {
  readonly own: ToyKernel;
  readonly #nodes = new Map<string, number>();
  #next = FIRST_NODE;

  constructor(own: ToyKernel) {
    this.own = own;
  }

  store(index: number, entry: bigint, rootShift: number, shift = 0): void {
    const node = this.#nodeOf(index, rootShift, shift);
    const slot = Math.floor(index / 2 ** shift) % 64;
    this.own.ram.setBigUint64(node + SLOTS + slot * 8, entry, true);
  }

  #nodeOf(index: number, rootShift: number, shift: number): number {
    const key = `${shift}/${Math.floor(index / 2 ** (shift + 6))}`;
    const known = this.#nodes.get(key);
    if (known !== undefined) return known;
    const node = this.#next;
    this.#next += NODE_SIZE;
    this.#nodes.set(key, node);
    this.own.ram.setUint8(node, shift);
    const link =
      shift === rootShift
        ? XARRAY + HEAD
        : this.#nodeOf(index, rootShift, shift + 6) +
          SLOTS +
          (Math.floor(index / 2 ** (shift + 6)) % 64) * 8;
    this.own.point(link, node + 2);
    return node;
  }
}

function read(own: ToyKernel, steps = 1000) {
  const told: string[] = [];
  const arrays = new XArrays(own.kernel);
  const all = arrays.entries(own.at(XARRAY), new Budget(steps), (why) => told.push(why));
  return { found: [...all], told };
}

const value = (number: number): bigint => (BigInt(number) << 1n) | 1n;

test("values and pointers are found at their indices", () => {
  const indices = fc.uniqueArray(fc.nat({ max: 64 ** 3 - 1 }), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(indices, fc.constantFrom(12, 18), (unsorted, rootShift) => {
      const own = toy();
      const writer = new Writer(own);
      const sorted = unsorted.toSorted((a, b) => a - b);
      for (const index of unsorted) {
        const entry =
          index % 2 === 0 ? BigInt.asUintN(64, BigInt(own.at(index * 4))) : value(index);
        writer.store(index, entry, rootShift);
      }
      const { found, told } = read(own);
      assert.deepEqual(told, []);
      assert.deepEqual(
        found,
        sorted.map((index) => ({
          index,
          span: 1,
          value: index % 2 === 0 ? Number.NaN : index,
          pointer: index % 2 === 0 ? own.at(index * 4) : Number.NaN,
        })),
      );
    }),
  );
});

test("an entry of a higher order spans its siblings, and slots above the leaves", () => {
  const own = toy();
  const writer = new Writer(own);
  writer.store(8, value(1), 6);
  for (let sibling = 9; sibling < 16; sibling++) writer.store(sibling, (8n << 2n) | 2n, 6);
  writer.store(64 * 5, value(2), 6, 6);
  writer.store(64 * 6, (5n << 2n) | 2n, 6, 6);
  assert.deepEqual(
    read(own).found.map(({ index, span }) => [index, span]),
    [
      [8, 8],
      [320, 128],
    ],
  );
});

test("a single entry needs no node, and retry and zero entries are none", () => {
  const own = toy();
  assert.deepEqual(read(own), { found: [], told: [] });
  own.ram.setBigUint64(XARRAY + HEAD, value(7), true);
  assert.equal(read(own).found[0].value, 7);
  for (const internal of [256n, 257n]) {
    own.ram.setBigUint64(XARRAY + HEAD, (internal << 2n) | 2n, true);
    assert.deepEqual(read(own), { found: [], told: [] });
  }
});

test("an IDR counts from its base", () => {
  const own = toy();
  own.ram.setBigUint64(IDR + HEAD, value(7), true);
  own.ram.setUint32(IDR + 16, 5, true);
  const [entry] = new XArrays(own.kernel).idrEntries(own.at(IDR), new Budget());
  assert.deepEqual([entry.index, entry.value], [5, 7]);
});

test("circles, wrong shifts and unreadable nodes are told, and end", () => {
  const own = toy();
  const writer = new Writer(own);
  writer.store(1, value(1), 6);
  // The root again, as its own child: the shift gives it away.
  own.point(FIRST_NODE + NODE_SIZE + SLOTS + 8, FIRST_NODE + NODE_SIZE + 2);
  own.point(FIRST_NODE + SLOTS + 8, 0x1_0000_0000 + 2);
  const { told } = read(own);
  assert.ok(told.length > 0);
  assert.match(told[0], /cannot be read/);
  own.ram.setUint8(FIRST_NODE, 7);
  own.ram.setUint8(FIRST_NODE + NODE_SIZE, 7);
  assert.deepEqual(read(own).found, []);
  assert.ok(read(own, 0).told.length > 0);
});

test("random memory neither throws nor goes on for ever", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 0x400, maxLength: 0x1000 }), (bytes) => {
      const own = toy();
      for (const [offset, byte] of bytes.entries()) own.ram.setUint8(FIRST_NODE + offset, byte);
      own.point(XARRAY + HEAD, FIRST_NODE + 2);
      own.ram.setUint8(FIRST_NODE, 60);
      assert.ok(read(own).found.length <= 64 * 1000);
    }),
    { numRuns: 50 },
  );
});

test("what is loaded at an index is what the walk finds there", () => {
  const indices = fc.uniqueArray(fc.nat({ max: 64 ** 3 - 1 }), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(indices, fc.constantFrom(12, 18), (stored, rootShift) => {
      const own = toy();
      const writer = new Writer(own);
      for (const index of stored) {
        writer.store(index, BigInt.asUintN(64, BigInt(own.at(index * 4))), rootShift);
      }
      const arrays = new XArrays(own.kernel);
      for (const index of stored) {
        assert.equal(arrays.load(own.at(XARRAY), index), own.at(index * 4));
        const next = stored.includes(index + 1) ? own.at((index + 1) * 4) : 0;
        assert.equal(arrays.load(own.at(XARRAY), index + 1), next);
      }
    }),
  );
});

test("an index among siblings loads the entry that they refer to, and a value is no pointer", () => {
  const own = toy();
  const writer = new Writer(own);
  const folio = BigInt.asUintN(64, BigInt(own.at(0x40)));
  writer.store(8, folio, 6);
  for (let sibling = 9; sibling < 16; sibling++) writer.store(sibling, (8n << 2n) | 2n, 6);
  writer.store(20, value(7), 6);
  const arrays = new XArrays(own.kernel);
  for (let index = 8; index < 16; index++) {
    assert.equal(arrays.load(own.at(XARRAY), index), own.at(0x40));
  }
  assert.equal(arrays.load(own.at(XARRAY), 20), Number.NaN);
  assert.equal(arrays.load(own.at(XARRAY), 64 ** 2), 0);
});

test("a load ends in any memory", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 0x2000, maxLength: 0x2000 }),
      fc.nat(),
      (noise, index) => {
        const own = toy();
        new Uint8Array(own.ram.buffer).set(noise, FIRST_NODE);
        own.point(XARRAY + HEAD, FIRST_NODE + 2);
        assert.equal(typeof new XArrays(own.kernel).load(own.at(XARRAY), index), "number");
      },
    ),
  );
});
