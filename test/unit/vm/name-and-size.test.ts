import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { checkedName } from "../../../src/vm/name.ts";
import { parseSize } from "../../../src/vm/size.ts";

test("names are harmless in paths, on QEMU's command line, and apart from other targets", () => {
  for (const name of ["a", "web", "web-1", "Debian_12.4", "9lives", "x".repeat(40)]) {
    assert.equal(checkedName(name), name);
  }
  for (const name of [
    "",
    ".",
    "..",
    "-x",
    "x-",
    ".hidden",
    "a b",
    "a/b",
    "a,b",
    "a=b",
    "pid:1",
    "ä",
    "x".repeat(41),
    "a\n",
  ]) {
    assert.throws(() => checkedName(name), { code: "KVMSEC_NAME_INVALID", exit: 2 }, name);
  }
});

test("no accepted name leaves its folder or ends a QEMU value", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      try {
        assert.doesNotMatch(checkedName(text), /[/,=:\s\0]|^\.|^-|\.$/);
      } catch (error) {
        assert.equal((error as { code: string }).code, "KVMSEC_NAME_INVALID");
      }
    }),
  );
});

test("sizes", () => {
  assert.equal(parseSize("512M"), 512 * 2 ** 20);
  assert.equal(parseSize("1.5G"), 1.5 * 2 ** 30);
  assert.equal(parseSize("2GiB"), 2 * 2 ** 30);
  assert.equal(parseSize("64 kb"), 64 * 1024);
  assert.equal(parseSize("1048576"), 1048576);
  for (const text of ["", "0", "-1G", "1X", "G", "1.3", "1e9", "0x10", "99999999999999T", "NaN"]) {
    assert.throws(() => parseSize(text), { code: "KVMSEC_SIZE_INVALID", exit: 2 }, text);
  }
});
