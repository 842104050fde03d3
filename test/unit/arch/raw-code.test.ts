import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { directSystemCalls, isSystemCall } from "../../../src/arch/x86/raw-code.ts";

const code = (hex: string): Uint8Array => Buffer.from(hex.replaceAll(" ", ""), "hex");

test("each way to set the number of a system call right before it is seen", () => {
  for (const hex of [
    "b8 3b 00 00 00 0f 05",
    "48 c7 c0 3b 00 00 00 0f 05",
    "6a 29 58 99 6a 02 5f 6a 01 5e 0f 05",
    "b8 0b 00 00 00 89 fb cd 80",
  ]) {
    assert.deepEqual(directSystemCalls(code(`90 90 ${hex}`), 8), [2], hex);
  }
});

test("a call without a number, a number too large, and bytes inside of an instruction are not", () => {
  for (const hex of [
    "90 90 90 90 90 90 0f 05",
    "b8 ff ff 00 00 0f 05",
    // mov rcx, imm64 that holds 0f 05 in its last bytes
    "b8 01 00 00 00 48 b9 00 00 00 00 00 00 0f 05",
    "6a 90 58 0f 05",
  ]) {
    assert.deepEqual(directSystemCalls(code(hex), 8), [], hex);
  }
});

test("any bytes are looked through, and no more is told than was asked for", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 4096 }), fc.nat({ max: 5 }), (bytes, most) => {
      const found = directSystemCalls(bytes, most);
      assert.ok(found.length <= most);
      for (const at of found) assert.ok(at >= 0 && at < bytes.length);
    }),
  );
  const many = Buffer.concat(Array.from({ length: 20 }, () => code("b8 01 00 00 00 0f 05")));
  assert.equal(directSystemCalls(many, 8).length, 8);
});

test("system calls are told from other instructions", () => {
  assert.ok(isSystemCall(code("0f 05")));
  assert.ok(isSystemCall(code("cd 80")));
  assert.ok(!isSystemCall(code("0f 0b")));
});
