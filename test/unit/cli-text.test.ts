import assert from "node:assert/strict";
import { test } from "node:test";
import { colours } from "../../src/cli/colour.ts";
import { displayWidth, fit, printable } from "../../src/cli/text.ts";

test("guest text cannot steer the terminal", () => {
  assert.equal(printable("a\x1b[31mb"), "a\\x1b[31mb");
  assert.equal(printable("line\nnext\ttab\r"), "line\\nnext\\ttab\\x0d");
  assert.equal(printable("\u009b2J"), "\\x9b2J");
  assert.equal(printable("exe\u202ecod.sh"), "exe\\u202ecod.sh");
  assert.equal(printable("tag\u{e0001}"), "tag\\u{e0001}");
  assert.equal(printable("half \ud800"), "half \\ud800");
  assert.equal(printable("grüße 日本 🐧"), "grüße 日本 🐧");
});

test("no character of the escaping categories is left, over all of Unicode", () => {
  for (let code = 0; code <= 0x10ffff; code++) {
    const text = printable(String.fromCodePoint(code));
    assert.doesNotMatch(text, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u, `U+${code.toString(16)}`);
  }
});

test("width counts terminal cells", () => {
  assert.equal(displayWidth("abc"), 3);
  assert.equal(displayWidth("日本"), 4);
  assert.equal(displayWidth("e\u0301"), 1);
  assert.equal(displayWidth("🐧"), 2);
  assert.equal(displayWidth("…"), 1);
});

test("fitting never exceeds the width", () => {
  assert.equal(fit("abcdef", 6), "abcdef");
  assert.equal(fit("abcdef", 4), "abc…");
  assert.equal(fit("日本語", 4), "日…");
  assert.equal(fit("abc", 1), "…");
  assert.equal(fit("abc", 0), "");
});

test("colour needs a terminal and no NO_COLOR", () => {
  const terminal = { isTTY: true };
  assert.equal(colours(terminal, {}).red("x"), "\x1b[31mx\x1b[39m");
  assert.equal(colours(terminal, { NO_COLOR: "" }).red("x"), "\x1b[31mx\x1b[39m");
  assert.equal(colours(terminal, { NO_COLOR: "1" }).red("x"), "x");
  assert.equal(colours(terminal, { TERM: "dumb" }).red("x"), "x");
  assert.equal(colours({}, {}).red("x"), "x");
});
