import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { StructWindow } from "../../../src/linux/struct-window.ts";
import { BtfWriter } from "../../fixtures/btf-writer.ts";
import { toyKernel } from "../../fixtures/toy-kernel.ts";
import type { ToyKernel } from "../../fixtures/toy-kernel.ts";

const SIZE = 0x1_0000;
const BYTES = 72;
const members = ["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "pointer", "low", "high"];

/** A struct with a member of every kind, some of them where no compiler would align them. */
function toy(): ToyKernel {
  const btf = new BtfWriter();
  const int = (name: string, size: number, signed: boolean): number =>
    btf.int(name, size, signed ? 1 : 0);
  const u32 = int("unsigned int", 4, false);
  const inner = btf.struct("inner", 8, [["value", u32, 32]]);
  btf.struct("thing", BYTES, [
    ["u8", int("unsigned char", 1, false), 8],
    ["i8", int("signed char", 1, true), 24],
    ["u16", int("unsigned short", 2, false), 32],
    ["i16", int("short", 2, true), 48],
    ["u32", u32, 64],
    ["i32", int("int", 4, true), 96],
    ["u64", int("unsigned long", 8, false), 128],
    ["i64", int("long", 8, true), 192],
    ["pointer", btf.pointer(0), 256],
    ["inner", inner, 320],
  ]);
  btf.struct("flags", 8, [
    ["low", u32, 3, 5],
    ["high", u32, 27, 12],
  ]);
  return toyKernel(btf, SIZE);
}

const structOf = (member: string): string =>
  member === "low" || member === "high" ? "flags" : "thing";

function same(own: ToyKernel, at: number): void {
  for (const member of members) {
    const struct = structOf(member);
    const window = new StructWindow(own.kernel, struct);
    window.load(own.at(at));
    const expected = own.kernel.reader(struct, member)(own.at(at));
    assert.equal(window.field(member)(), expected, `${member} at ${at}`);
  }
}

test("a window reads what member readers read, wherever it lies", () => {
  const own = toy();
  const bytes = new Uint8Array(own.ram.buffer, 0, 0x4000);
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: BYTES, maxLength: BYTES }),
      fc.oneof(
        fc.nat(0xc00).map((at) => at * 4),
        fc.constantFrom(0xfe0, 0xfff, 0x1fc1),
      ),
      (content, at) => {
        bytes.set(content, at);
        same(own, at);
      },
    ),
  );
});

test("a bit-field in two words is not rounded with all their bits", () => {
  const own = toy();
  own.ram.setUint32(0, 0xe7ff_fc00, true);
  own.ram.setUint32(4, 0x8000_0000, true);
  same(own, 0);
  const window = new StructWindow(own.kernel, "flags");
  window.load(own.at(0));
  assert.equal(window.field("high")(), 28);
});

test("sources that are copied page by page give the same", () => {
  const own = toy();
  Object.defineProperty(own.kernel.memory, "stable", { value: false });
  for (let at = 0; at < 0x2000; at++) own.ram.setUint8(at, (at * 7919) >> 3);
  for (const at of [0, 8, 0xff0, 0x1001]) same(own, at);
});

test("a struct that is not all there is a fault in every member", () => {
  const own = toy();
  const window = new StructWindow(own.kernel, "thing");
  const fields = ["u8", "i16", "i32", "u32", "u64", "i64", "pointer"].map((name) =>
    window.field(name),
  );
  assert.ok(window.load(own.at(0)));
  for (const address of [own.at(SIZE - 16), Number.NaN, 0x1234]) {
    assert.equal(window.load(address), false);
    assert.deepEqual(
      fields.map((field) => field()),
      fields.map(() => Number.NaN),
    );
    assert.ok(Number.isNaN(window.word(0)));
  }
  assert.ok(window.load(own.at(0)), "and can be read again elsewhere");
});

test("embedded structs are their address, missing members undefined", () => {
  const own = toy();
  const window = new StructWindow(own.kernel, "thing");
  window.load(own.at(0x100));
  assert.equal(window.field("inner")(), own.at(0x100 + 40));
  own.ram.setUint32(0x100 + 44, 4711, true);
  assert.equal(window.fieldOf("none", "inner.value")?.(), 4711);
  assert.equal(window.fieldOf("none"), undefined);
  assert.throws(() => window.field("none"), { code: "KVMSEC_TYPE_MISSING" });
});
