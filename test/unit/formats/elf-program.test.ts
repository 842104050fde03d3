import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, openSync, readSync, realpathSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import {
  elfParts,
  hasTextRelocations,
  isElfProgram,
  wantsExecutableStack,
} from "../../../src/formats/elf-program.ts";

function firstPage(path: string): Buffer {
  const page = Buffer.alloc(4096);
  const file = openSync(path, "r");
  readSync(file, page, 0, page.length, 0);
  closeSync(file);
  return page;
}

function dynamic(tag: number, value: number): Buffer {
  const bytes = Buffer.alloc(32);
  bytes.writeBigUInt64LE(BigInt(tag));
  bytes.writeBigUInt64LE(BigInt(value), 8);
  return bytes;
}

test("program headers are those that readelf shows", () => {
  for (const path of ["/bin/sh", "/bin/ls"].map((each) => realpathSync(each))) {
    const shown = execFileSync("readelf", ["-lW", path], { encoding: "utf8" });
    const rows = [
      ...shown.matchAll(
        /^ {2}([A-Z_]+) +0x([0-9a-f]+) 0x\S+ 0x\S+ 0x([0-9a-f]+) 0x\S+ (R?) ?(W?) ?(E?)/gm,
      ),
    ];
    const parts = elfParts(firstPage(path));
    assert.ok(parts !== undefined && rows.length > 5);
    assert.deepEqual(
      parts.map(({ offset, size, writable, executable }) => ({
        offset,
        size,
        writable,
        executable,
      })),
      rows.map(([, , offset, size, , write, execute]) => ({
        offset: Number.parseInt(offset ?? "", 16),
        size: Number.parseInt(size ?? "", 16),
        writable: write === "W",
        executable: execute === "E",
      })),
    );
    assert.ok(isElfProgram(firstPage(path)));
    assert.equal(wantsExecutableStack(parts), false);
  }
});

test("a wish for an executable stack and relocations of the code are seen", () => {
  const stack = { type: 0x6474_e551, executable: true, writable: true, offset: 0, size: 0 };
  assert.ok(wantsExecutableStack([stack]));
  assert.ok(hasTextRelocations(dynamic(22, 0)));
  assert.ok(hasTextRelocations(dynamic(30, 4)));
  assert.ok(!hasTextRelocations(dynamic(30, 8)));
});

test("any bytes are taken", () => {
  const bytes = fc.uint8Array({ maxLength: 4096 });
  fc.assert(
    fc.property(bytes, (noise) => {
      const elf = Buffer.concat([firstPage("/bin/sh").subarray(0, 20), noise]);
      for (const part of elfParts(elf) ?? []) assert.ok(Number.isFinite(part.offset + part.size));
      assert.equal(typeof hasTextRelocations(noise), "boolean");
    }),
  );
});
