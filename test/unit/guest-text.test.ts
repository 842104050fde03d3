import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { guestText } from "../../src/base/guest-text.ts";

const show = (...bytes: number[]): string => guestText(Uint8Array.from(bytes));

test("UTF-8 is text, other bytes are shown as such", () => {
  assert.equal(guestText(Buffer.from("kworker/0:1 é €")), "kworker/0:1 é €");
  assert.equal(show(0x61, 0xff, 0x62), "a\\xffb");
  assert.equal(show(0xc3), "\\xc3", "a sequence that was cut");
  assert.equal(show(0xc0, 0x80), "\\xc0\\x80", "an overlong NUL");
  assert.equal(show(0xed, 0xa0, 0x80), "\\xed\\xa0\\x80", "a surrogate");
  assert.equal(show(0xff, 0xe2, 0x82, 0xac), "\\xff€");
});

test("any bytes become well-formed text", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      assert.ok(guestText(bytes).isWellFormed());
      assert.ok(!guestText(bytes).includes("\ufffd") || Buffer.from(bytes).includes("\ufffd"));
    }),
  );
});
