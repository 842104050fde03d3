import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { unpackXz } from "../../../src/formats/xz.ts";
import { mutations } from "../../fixtures/mutations.ts";
import { randomNumbers } from "../../fixtures/sparse-ram.ts";

const LIMIT = 2 ** 26;

function xz(bytes: Uint8Array, ...options: string[]): Buffer {
  return execFileSync("xz", ["--stdout", ...options], { input: bytes, maxBuffer: LIMIT });
}

/** Text that repeats near and far, noise, and a long run. */
function mixture(): Buffer {
  const next = randomNumbers(7);
  const words = ["task", "struct", "init", "\0\0\0\0", "list_head", "éà"];
  const text = Array.from({ length: 30_000 }, () => words[next() % words.length]).join(" ");
  const noise = Buffer.from(Uint8Array.from({ length: 100_000 }, () => next()));
  return Buffer.concat([Buffer.from(text), noise, Buffer.alloc(300_000), Buffer.from(text), noise]);
}

const program = readFileSync(process.execPath).subarray(0, 3_000_000);
const cases: readonly (readonly [string, Uint8Array, readonly string[]])[] = [
  ["as the kernel packs modules", mixture(), ["--check=crc32", "--lzma2=dict=1MiB"]],
  ["as the kernel packs itself", program, ["--check=crc32", "--x86", "--lzma2=dict=32MiB"]],
  ["as xz does by itself", mixture(), []],
  ["with SHA-256", mixture(), ["--check=sha256", "-0"]],
  ["without a check", mixture(), ["--check=none", "-9e"]],
  ["other literal and position bits", program, ["--lzma2=preset=4,lc=1,lp=3,pb=4"]],
  ["several blocks", mixture(), ["--block-size=65536", "-T2"]],
  ["nothing", new Uint8Array(0), []],
  ["one byte", Uint8Array.of(65), []],
];

for (const [name, bytes, options] of cases) {
  test(`what xz packed unpacks to the same bytes: ${name}`, () => {
    const result = unpackXz(xz(bytes, ...options), LIMIT);
    assert.ok(result.ok, result.ok ? "" : result.reason);
    assert.equal(Buffer.compare(result.bytes, bytes), 0);
  });
}

test("what would be larger than allowed is refused", () => {
  const packed = xz(Buffer.alloc(10_000_000));
  assert.deepEqual(unpackXz(packed, 9_999_999), {
    ok: false,
    reason: "its data are damaged, or too large",
  });
});

test("filters that no packer of kernels uses are named", () => {
  const result = unpackXz(xz(Buffer.alloc(100), "--delta=dist=4", "--lzma2"), LIMIT);
  assert.deepEqual(result, { ok: false, reason: "it is packed with the filters 3,33" });
});

test("damaged streams give a reason, or the same bytes", () => {
  const bytes = mixture().subarray(150_000, 200_000);
  const packed = xz(bytes, "--check=crc32", "--block-size=20000");
  let refused = 0;
  for (const damaged of mutations(packed, 300, 11)) {
    const result = unpackXz(damaged, LIMIT);
    if (!result.ok) refused++;
    // The index behind the blocks is not read; and a stream may end before its last block.
    else assert.equal(Buffer.compare(result.bytes, bytes.subarray(0, result.bytes.length)), 0);
  }
  assert.ok(refused > 200, `${refused} of 300`);
});
