import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { dispatchTargets, firstExit } from "../../../src/linux/syscall-dispatch.ts";

const BASE = -0x7f00_0000;
const NOT_IMPLEMENTED = -0x1000;
const TABLE = -0x7e00_0000;

/** `slots` is the table that a compiler made of the switch. */
function follow(code: Iterable<number>, slots: readonly number[] = []): number[] {
  const pointer = (address: number): number => slots[(address - TABLE) / 8] ?? Number.NaN;
  return dispatchTargets({ code: Uint8Array.from(code), address: BASE, pointer });
}

/** `cmp esi, number` in its short form where it fits. */
function compare(number: number): number[] {
  return number < 0x80 ? [0x83, 0xfe, number] : [0x81, 0xfe, ...word(number)];
}

function word(value: number): number[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}

/** `jmp target` as the last instruction of `code`, or another opcode of that shape. */
function leave(code: number[], target: number, opcode = 0xe9): void {
  const distance = target - (BASE + code.length + 5);
  code.push(opcode, ...word(distance >>> 0));
}

function targetOf(number: number): number {
  return -0x10_0000 - number * 16;
}

/** Compiles numbers to targets as GCC does: `cmp; ja right; je leaf; …`, halves in turn. */
function compile(code: number[], numbers: readonly number[]): void {
  if (numbers.length === 0) return leave(code, NOT_IMPLEMENTED);
  const middle = numbers.length >>> 1;
  const number = numbers[middle];
  code.push(...compare(number), 0x0f, 0x87, 0, 0, 0, 0);
  const above = code.length;
  code.push(0x75, 5);
  leave(code, targetOf(number), number % 7 === 0 ? 0xe8 : 0xe9);
  compile(code, numbers.slice(0, middle));
  code.splice(above - 4, 4, ...word(code.length - above));
  compile(code, numbers.slice(middle + 1));
}

test("a compiled switch is followed for every number", () => {
  const numbers = fc.uniqueArray(fc.integer({ min: 0, max: 600 }), { minLength: 1, maxLength: 80 });
  fc.assert(
    fc.property(numbers, (unsorted) => {
      const sorted = unsorted.toSorted((a, b) => a - b);
      // endbr64; nop
      const code = [0xf3, 0x0f, 0x1e, 0xfa, 0x90];
      compile(code, sorted);
      const targets = follow(code);
      const last = sorted[sorted.length - 1];
      assert.equal(targets.length, last + 2);
      for (const [number, target] of targets.entries()) {
        const known = sorted.includes(number);
        assert.equal(target, known ? targetOf(number) : NOT_IMPLEMENTED, `number ${number}`);
      }
    }),
  );
});

/** `cmp esi, last; ja default; mov; jmp *table(,index,8)`, and a jump for each number behind. */
function compileTable(last: number, start: readonly number[], move: readonly number[]) {
  const code = [...start, ...compare(last), 0x0f, 0x87, 0, 0, 0, 0];
  const above = code.length;
  const index = move[1] === 0xf0 ? 0xc5 : 0xf5;
  code.push(...move, 0xff, 0x24, index, ...word(TABLE >>> 0));
  const slots = Array.from({ length: last + 1 }, (_, number) => {
    const at = BASE + code.length;
    leave(code, targetOf(number));
    return at;
  });
  code.splice(above - 4, 4, ...word(code.length - above));
  leave(code, NOT_IMPLEMENTED);
  return { code, slots };
}

test("a switch that became a table is followed for every number", () => {
  // GCC: mov esi, esi; clang: mov eax, esi.
  for (const move of [
    [0x89, 0xf6],
    [0x89, 0xf0],
  ]) {
    const { code, slots } = compileTable(90, [], move);
    const expected = Array.from({ length: 91 }, (_, number) => targetOf(number));
    assert.deepEqual(follow(code, slots), [...expected, NOT_IMPLEMENTED]);
    // A slot that leads elsewhere is told as it is; one that cannot be read is a fault.
    slots[7] = -0x4000;
    delete slots[8];
    assert.deepEqual(follow(code, slots).slice(7, 9), [-0x4000, Number.NaN]);
  }
});

test("a table that begins at 1 is entered by what dec leaves", () => {
  const { code, slots } = compileTable(40, [0xff, 0xce], [0x89, 0xf6]);
  const targets = follow(code, slots);
  assert.equal(targets[0], NOT_IMPLEMENTED);
  assert.deepEqual(
    targets.slice(1, 41),
    Array.from({ length: 40 }, (_, at) => targetOf(at)),
  );
});

test("what compilers put around a branch changes nothing", () => {
  // nopl; push rbp; mov rbp, rsp; sub rsp, 8 … add rsp, 8; pop rbp; xor eax, eax; xor esi, esi; jmp
  const frame = [0x0f, 0x1f, 0x44, 0, 0, 0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 8];
  const code = [...frame, ...compare(3), 0x75, 5 + 9];
  const end = [0x48, 0x83, 0xc4, 8, 0x5d, 0x31, 0xc0, 0x31, 0xf6];
  code.push(...end);
  leave(code, -0x2000);
  leave(code, -0x3000, 0xe8);
  assert.deepEqual(follow(code), [-0x3000, -0x3000, -0x3000, -0x2000, -0x3000]);
  // A register that was taken from the stack is not the number any more.
  const lost = [0x5e, ...code];
  assert.ok(follow(lost).every(Number.isNaN));
});

test("an index that nothing is known of is a fault", () => {
  const { code, slots } = compileTable(9, [], [0x89, 0xce]);
  assert.ok(follow(code, slots).slice(0, 10).every(Number.isNaN));
});

test("sub leaves the difference behind", () => {
  // sub esi, 1; jne +5; call A; jmp B
  const code = [0x83, 0xee, 0x01, 0x75, 0x05];
  leave(code, -0x2000, 0xe8);
  leave(code, -0x3000);
  const targets = follow(code);
  assert.deepEqual(targets, [-0x3000, -0x2000, -0x3000]);
});

test("code that is no dispatcher ends as a fault, never in a circle", () => {
  const circle = follow([0xeb, 0xfe]);
  assert.deepEqual(circle, [Number.NaN, Number.NaN]);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (code) => {
      const targets = follow(code);
      assert.ok(targets.length <= 1024);
      for (const target of targets) {
        assert.ok(!(target >= BASE && target < BASE + code.length));
      }
    }),
  );
});

/** `mov rax, -38; cmp esi, 3; je one; cmp esi, 4; je two; ret`, and handlers written in behind. */
function inlined(): number[] {
  const code = [0x48, 0xc7, 0xc0, 0xda, 0xff, 0xff, 0xff];
  code.push(...compare(3), 0x74, 0x06, ...compare(4), 0x74, 0x0a, 0xc3);
  // mov rdi, [rdi + 0x70]; jmp
  code.push(0x48, 0x8b, 0x7f, 0x70);
  leave(code, targetOf(3));
  // mov edi, [rdi + 0x70]; xor esi, esi; call; cltq; ret
  code.push(0x8b, 0x7f, 0x70, 0x31, 0xf6);
  leave(code, targetOf(4), 0xe8);
  return [...code, 0x48, 0x98, 0xc3];
}

test("a handler that clang wrote into the dispatcher is told by where it leads", () => {
  const asked: [number, number][] = [];
  const handlers = {
    handlerOf(number: number, exit: number): number {
      asked.push([number, exit]);
      return exit === targetOf(3) ? -1 : exit;
    },
  };
  const targets = dispatchTargets({
    code: Uint8Array.from(inlined()),
    address: BASE,
    pointer: () => Number.NaN,
    handlers,
  });
  assert.deepEqual(asked, [
    [0, 0],
    [1, 0],
    [2, 0],
    [3, targetOf(3)],
    [4, targetOf(4)],
    [5, 0],
  ]);
  assert.deepEqual(targets, [Number.NaN, Number.NaN, Number.NaN, -1, targetOf(4), Number.NaN]);
});

function exit(code: readonly number[]): number {
  return firstExit({ code: Uint8Array.from(code), address: BASE, pointer: () => Number.NaN });
}

test("straight code leads where it first calls, jumps or returns", () => {
  const code = [0xf3, 0x0f, 0x1e, 0xfa, 0x48, 0x8b, 0x7f, 0x70];
  leave(code, targetOf(7), 0xe8);
  assert.equal(exit(code), targetOf(7));
  assert.equal(exit([0x48, 0xc7, 0xc0, 0xda, 0xff, 0xff, 0xff, 0xc3]), 0);
  assert.equal(exit([0x74, 0x00, 0xc3]), Number.NaN);
  assert.equal(exit([0xff, 0xe0]), Number.NaN);
  assert.equal(exit([0xeb, 0xfe]), Number.NaN);
  assert.equal(exit([0x90, 0x90]), Number.NaN);
});
