import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BtfKind, memberPath, parseBtf, readBtfHeader } from "../../../src/formats/btf.ts";
import type { Btf } from "../../../src/formats/btf.ts";
import { checkBtf } from "../../fixtures/btf-check.ts";
import { BtfWriter } from "../../fixtures/btf-writer.ts";

function parsed(bytes: Uint8Array, base?: Btf): Btf {
  const result = parseBtf(bytes, base);
  assert.ok(result.ok, result.ok ? "" : result.reason);
  return result.btf;
}

function reason(bytes: Uint8Array): string {
  const result = parseBtf(bytes);
  return result.ok ? "" : result.reason;
}

/** struct list_head { next, prev }; struct task { int pid; union { struct { …state; flag }; u64 raw }; …} */
function sample() {
  const w = new BtfWriter();
  const int = w.int("int", 4, 1);
  const char = w.int("char", 1, 2);
  const bool = w.int("_Bool", 1, 4);
  const u64 = w.int("unsigned long", 8);
  const u64Typedef = w.type(BtfKind.TYPEDEF, "u64", u64);
  const constU64 = w.type(BtfKind.CONST, "", u64Typedef);
  const comm = w.array(char, 16, int);
  const listPointer = w.pointer(w.typeCount + 1);
  const list = w.struct("list_head", 16, [
    ["next", listPointer, 0],
    ["prev", listPointer, 64],
  ]);
  const heads = w.array(list, 3, int);
  const inner = w.struct("", 8, [
    ["state", int, 0, 0],
    ["flag", int, 32, 1],
    ["wide", int, 41, 5],
  ]);
  const anonymous = w.union("", 8, [
    ["", inner, 0],
    ["raw", constU64, 0],
  ]);
  const task = w.struct("task", 96, [
    ["pid", int, 0],
    ["", anonymous, 64],
    ["comm", comm, 128],
    ["tasks", list, 256],
    ["heads", heads, 384],
  ]);
  return { w, int, char, bool, u64, u64Typedef, constU64, comm, list, heads, task, anonymous };
}

describe("BTF", () => {
  test("finds types by name and kind", () => {
    const { w, int, list, task, u64Typedef } = sample();
    const btf = parsed(w.bytes());
    assert.equal(btf.typeCount, w.typeCount);
    assert.equal(btf.find("int", BtfKind.INT), int);
    assert.equal(btf.find("list_head", BtfKind.STRUCT), list);
    assert.equal(btf.find("task", BtfKind.STRUCT), task);
    assert.equal(btf.find("u64", BtfKind.TYPEDEF), u64Typedef);
    assert.equal(btf.find("task", BtfKind.UNION), 0);
    assert.equal(btf.find("tas", BtfKind.STRUCT), 0);
    assert.equal(btf.find("", BtfKind.STRUCT), 0);
    assert.equal(btf.find("x".repeat(600), BtfKind.STRUCT), 0);
    assert.equal(btf.name(task), "task");
    assert.equal(btf.kind(task), BtfKind.STRUCT);
  });

  test("of several types with one name, answers the lowest id", () => {
    const w = new BtfWriter();
    const first = w.struct("twin", 8, []);
    w.struct("twin", 16, []);
    const union = w.union("twin", 4, []);
    const btf = parsed(w.bytes());
    assert.equal(btf.find("twin", BtfKind.STRUCT), first);
    assert.equal(btf.find("twin", BtfKind.UNION), union);
  });

  test("sizes go through typedefs, qualifiers, arrays and pointers", () => {
    const { w, char, comm, heads, constU64, list } = sample();
    const pointer = w.pointer(0);
    const flexible = w.array(list, 0);
    const variable = w.type(BtfKind.VAR, "init", list, [1]);
    const tag = w.type(BtfKind.TYPE_TAG, "rcu", list);
    const forward = w.type(BtfKind.FWD, "later", 0);
    const float = w.type(BtfKind.FLOAT, "double", 8);
    const btf = parsed(w.bytes());
    const sizes = [char, comm, heads, constU64, pointer, flexible, variable, tag, float];
    assert.deepEqual(
      sizes.map((id) => btf.size(id)),
      [1, 16, 48, 8, 8, 0, 16, 16, 8],
    );
    for (const id of [0, forward, btf.typeCount, -1, 0.5, Number.NaN]) {
      assert.ok(Number.isNaN(btf.size(id)), `size of ${id}`);
    }
  });

  test("members, bit-fields and member paths", () => {
    const { w, int, task, constU64, list, char, anonymous } = sample();
    const btf = parsed(w.bytes());
    assert.deepEqual(
      btf.members(task).map((member) => [member.name, member.bitOffset, member.bitSize]),
      [
        ["pid", 0, 0],
        ["", 64, 0],
        ["comm", 128, 0],
        ["tasks", 256, 0],
        ["heads", 384, 0],
      ],
    );
    const at = (path: string) => memberPath(btf, task, path);
    assert.deepEqual(at("pid"), { offset: 0, bitOffset: 0, bitSize: 0, typeId: int });
    assert.deepEqual(at("raw"), { offset: 8, bitOffset: 0, bitSize: 0, typeId: constU64 });
    assert.deepEqual(at("state"), { offset: 8, bitOffset: 0, bitSize: 0, typeId: int });
    assert.deepEqual(at("flag"), { offset: 12, bitOffset: 0, bitSize: 1, typeId: int });
    assert.deepEqual(at("wide"), { offset: 13, bitOffset: 1, bitSize: 5, typeId: int });
    assert.equal(at("tasks.prev")?.offset, 40);
    assert.equal(at("heads[2].prev")?.offset, 48 + 32 + 8);
    assert.equal(at("heads[2]")?.typeId, list);
    assert.equal(at("comm[15]")?.typeId, char);
    for (const path of ["", "x", "pid.x", "flag.x", "tasks.next.next", "comm[16]", "comm[-1]"]) {
      assert.equal(at(path), undefined, path);
    }
    for (const path of ["pid[0]", "comm[1", "comm[]", "comm]", ".pid", "pid."]) {
      assert.equal(at(path), undefined, path);
    }
    assert.equal(memberPath(btf, anonymous, "state")?.offset, 0);
    assert.equal(memberPath(btf, 0, "pid"), undefined);
  });

  test("integers, enums and 64-bit enums", () => {
    const { w, int, char, bool, u64Typedef } = sample();
    const plain = w.enum("plain", { A: 0, B: 0xffffffff });
    const signed = w.enum("signed", { C: -2, D: 7 }, true);
    const wide = w.enum64("wide", { E: 1n << 63n, F: 5n });
    const wideSigned = w.enum64("wide_signed", { G: -3n }, true);
    const btf = parsed(w.bytes());
    assert.deepEqual(btf.int(int), {
      signed: true,
      bool: false,
      char: false,
      bits: 32,
      bitOffset: 0,
    });
    assert.deepEqual(btf.int(char), {
      signed: false,
      bool: false,
      char: true,
      bits: 8,
      bitOffset: 0,
    });
    assert.deepEqual(btf.int(bool), {
      signed: false,
      bool: true,
      char: false,
      bits: 8,
      bitOffset: 0,
    });
    assert.equal(btf.int(u64Typedef)?.bits, 64);
    assert.equal(btf.int(plain), undefined);
    const values = (id: number) => btf.enumerators(id).map(({ name, value }) => [name, value]);
    assert.deepEqual(values(plain), [
      ["A", 0n],
      ["B", 0xffffffffn],
    ]);
    assert.deepEqual(values(signed), [
      ["C", -2n],
      ["D", 7n],
    ]);
    assert.deepEqual(values(wide), [
      ["E", 1n << 63n],
      ["F", 5n],
    ]);
    assert.deepEqual(values(wideSigned), [["G", -3n]]);
    assert.deepEqual(values(int), []);
  });

  test("functions, variables, sections and tags", () => {
    const { w, int, list } = sample();
    const prototype = w.prototype(int, [
      ["list", list],
      ["", 0],
    ]);
    const fn = w.type(BtfKind.FUNC, "walk", prototype, [], { vlen: 1 });
    const variable = w.type(BtfKind.VAR, "runqueues", list, [1]);
    const section = w.type(BtfKind.DATASEC, ".data..percpu", 64, [variable, 8, 16], { vlen: 1 });
    const tag = w.type(BtfKind.DECL_TAG, "user", list, [0xffffffff]);
    const btf = parsed(w.bytes());
    assert.equal(btf.find("walk", BtfKind.FUNC), fn);
    assert.equal(btf.referenced(fn), prototype);
    assert.equal(btf.vlen(fn), 1);
    assert.deepEqual(btf.params(prototype), [
      { name: "list", typeId: list },
      { name: "", typeId: 0 },
    ]);
    assert.deepEqual(btf.variable(variable), { typeId: list, linkage: 1 });
    assert.deepEqual(btf.sectionVars(section), [{ typeId: variable, offset: 8, size: 16 }]);
    assert.equal(btf.componentIndex(tag), -1);
    assert.equal(btf.referenced(tag), list);
  });

  test("a module's BTF goes on from its base, and shares its strings", () => {
    const { w, int, task } = sample();
    const base = parsed(w.bytes());
    const m = new BtfWriter(w);
    const own = m.struct("bridge", 8, [["pid", int, 0]]);
    const shared = m.type(BtfKind.STRUCT, w.string("pid"), 4, [w.string("comm"), task, 0], {
      vlen: 1,
    });
    const split = parsed(m.bytes(), base);
    assert.equal(split.firstId, base.typeCount);
    assert.equal(own, base.typeCount);
    assert.equal(split.find("bridge", BtfKind.STRUCT), own);
    assert.equal(split.find("pid", BtfKind.STRUCT), shared);
    assert.equal(split.find("task", BtfKind.STRUCT), task);
    assert.equal(split.name(shared), "pid");
    assert.equal(memberPath(split, shared, "comm.tasks.prev")?.offset, 40);
    assert.equal(split.size(task), base.size(task));
    assert.equal(base.find("bridge", BtfKind.STRUCT), 0);
  });

  test("skips kinds that the layout section describes, and names those that nothing describes", () => {
    const w = new BtfWriter();
    w.int("int", 4);
    w.type(21, "", 0, [7, 8, 9, 10, 11], { vlen: 2 });
    const last = w.struct("last", 4, []);
    const layout = Array.from({ length: 22 }, (): [number, number] => [0, 0]);
    layout[21] = [4, 8];
    const btf = parsed(w.bytes(layout));
    assert.equal(btf.find("last", BtfKind.STRUCT), last);
    assert.match(reason(w.bytes()), /record 2 has unknown kind 21/);
  });

  test("cycles of modifiers end", () => {
    const w = new BtfWriter();
    const loop = w.type(BtfKind.CONST, "", 2);
    w.type(BtfKind.TYPEDEF, "a", 1);
    const array = w.array(3, 2);
    const nest = w.struct("nest", 8, [["", w.typeCount, 0]]);
    const btf = parsed(w.bytes());
    assert.equal(btf.strip(loop), 0);
    assert.ok(Number.isNaN(btf.size(loop)));
    assert.ok(Number.isNaN(btf.size(array)));
    assert.equal(memberPath(btf, nest, "x"), undefined);
  });

  test("says why bytes are not BTF", () => {
    const good = sample().w.bytes();
    const changed = (at: number, value: number) => {
      const copy = good.slice();
      copy[at] = value;
      return copy;
    };
    assert.match(reason(new Uint8Array(10)), /shorter than a BTF header/);
    assert.match(reason(new Uint8Array(64)), /no BTF magic/);
    assert.match(reason(good.slice(0, -1)), /end behind/);
    assert.match(reason(changed(2, 9)), /version 9/);
    assert.match(reason(changed(7, 1)), /header length/);
    assert.match(reason(changed(good.length - 1, 65)), /do not end in NUL/);
    assert.match(reason(changed(24 + 7, 99)), /unknown kind 99/);
    assert.match(reason(changed(12, good[12] - 4)), /runs over|string is not empty/);
    const header = readBtfHeader(good.subarray(0, 32));
    assert.equal(typeof header === "string" ? header : header.size, good.length);
  });

  test("a check tells a damaged copy", () => {
    const { w, task, list } = sample();
    w.enum("state", { RUNNING: 0 });
    w.prototype(list, [["self", task]]);
    const good = w.bytes();
    const base = parsed(good);
    assert.equal(checkBtf(base), undefined);
    const m = new BtfWriter(w);
    m.struct("own", 8, [["pid", 1, 0]]);
    assert.equal(checkBtf(parsed(m.bytes(), base)), undefined);
    const damaged = (change: (view: DataView, copy: Uint8Array) => void) => {
      const copy = good.slice();
      change(new DataView(copy.buffer), copy);
      return checkBtf(parsed(copy));
    };
    const header = readBtfHeader(good);
    const strings = typeof header === "string" ? 0 : header.stringStart;
    // Records begin at 24: the int (16 bytes), and so on; the prototype is the last.
    assert.match(damaged((_, copy) => copy.fill(7, strings + 3, strings + 4)) ?? "", /byte 7 at 3/);
    assert.match(damaged((_, copy) => copy.fill(0, strings + 1)) ?? "", /no proper name/);
    assert.match(damaged((view) => view.setUint32(24, 2, true)) ?? "", /type 1 has no proper name/);
    assert.match(damaged((view) => view.setUint32(strings - 4, 999, true)) ?? "", /of no type/);
    assert.match(damaged((view) => view.setUint32(strings - 8, 999, true)) ?? "", /member without/);
    assert.match(
      damaged((view) => view.setUint32(strings - 12, 999, true)) ?? "",
      /refers to nothing/,
    );
  });

  test("keeps its own copy of the bytes", () => {
    const { w, task } = sample();
    const bytes = w.bytes();
    const btf = parsed(bytes);
    bytes.fill(0xff);
    assert.equal(btf.find("task", BtfKind.STRUCT), task);
    assert.equal(memberPath(btf, task, "tasks.prev")?.offset, 40);
  });
});
