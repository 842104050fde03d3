import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AddressFolding } from "../../../src/arch/x86/address-folding.ts";
import { decodeInstruction } from "../../../src/arch/x86/instruction.ts";
import { hookForm } from "../../../src/linux/kernel-text/hook-forms.ts";
import type { CodeReader, HookForm } from "../../../src/linux/kernel-text/hook-forms.ts";

const HERE = -0x7f00_0000;
const THERE = -0x4000_0000;

function formOf(hex: string): HookForm | undefined {
  const code = Buffer.from(hex.replaceAll(" ", "").padEnd(64, "0"), "hex");
  return look(code);
}

function look(code: Uint8Array): HookForm | undefined {
  const instruction = decodeInstruction(code, 0);
  const reader: CodeReader = { folding: new AddressFolding(), pointer: () => THERE };
  return instruction && hookForm(reader, code, 0, HERE, instruction);
}

const forms: readonly (readonly [string, string, RegExp])[] = [
  ["movabs and jump", "48b8 000000c0ffffffff ffe0", /holds itself/],
  ["movabs and call", "48b9 000000c0ffffffff ffd1", /holds itself/],
  ["movabs, push, return", "48ba 000000c0ffffffff 52 c3", /holds itself/],
  ["movabs and jump of an upper register", "49bb 000000c0ffffffff 41ffe3", /holds itself/],
  ["push and return", "68 000000c0 c3", /returns/],
  ["a jump through the next word", "ff25 00000000 000000c0ffffffff", /stands in code/],
];

for (const [title, code, why] of forms) {
  test(`is a form of hooks: ${title}`, () => {
    const form = formOf(code);
    assert.match(form?.why ?? "", why);
    assert.equal(form?.target, THERE);
  });
}

const innocent: readonly (readonly [string, string])[] = [
  ["movabs of a constant", "48b8 000000c0ffffffff 4821c2"],
  ["a jump through another register", "48b8 000000c0ffffffff ffe1"],
  ["a push that is no return", "68 000000c0 90"],
  ["a jump through a variable", "ff25 00100000"],
  ["a jump through a register alone", "ffe0"],
];

for (const [title, code] of innocent) {
  test(`is none: ${title}`, () => assert.equal(formOf(code), undefined));
}

test("any bytes are judged without a fault", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 24 }), (code) => {
      const form = look(code);
      assert.ok(form === undefined || form.length > 0);
    }),
  );
});
