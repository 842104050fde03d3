import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EscapeReader } from "../../../src/cli/console-escape.ts";

function type(...pieces: string[]) {
  const reader = new EscapeReader();
  let sent = "";
  for (const piece of pieces) {
    const { bytes, action } = reader.read(Buffer.from(piece, "latin1"));
    sent += Buffer.from(bytes).toString("latin1");
    if (action !== undefined) return { sent, action };
  }
  return { sent, action: undefined };
}

test("~. leaves at the beginning of a line, at first and after Enter, in one piece or more", () => {
  assert.deepEqual(type("~."), { sent: "", action: "leave" });
  assert.deepEqual(type("ls\r", "~", "."), { sent: "ls\r", action: "leave" });
  assert.deepEqual(type("ls\n~.rest"), { sent: "ls\n", action: "leave" });
});

test("elsewhere a tilde is a tilde", () => {
  assert.deepEqual(type("cd ~.\r"), { sent: "cd ~.\r", action: undefined });
  assert.deepEqual(type("~/bin\r"), { sent: "~/bin\r", action: undefined });
  assert.deepEqual(type("~~.\r"), { sent: "~.\r", action: undefined });
});

test("~? asks for help, and the line begins anew", () => {
  assert.deepEqual(type("~?"), { sent: "", action: "help" });
});

test("without a tilde everything goes through, however it is cut", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array()), (pieces) => {
      const plain = pieces.map((piece) => piece.filter((byte) => byte !== 0x7e));
      const reader = new EscapeReader();
      const sent = plain.map((piece) => Buffer.from(reader.read(piece).bytes));
      assert.deepEqual(Buffer.concat(sent), Buffer.concat(plain));
    }),
  );
});
