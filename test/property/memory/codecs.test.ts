import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { crc32c, maskedCrc32c } from "../../../src/formats/crc32c.ts";
import { lzo1xDecompress } from "../../../src/formats/lzo1x.ts";
import { decodeSnappyChunk, parseSnappyChunk } from "../../../src/formats/snappy-frame.ts";
import { snappyDecompress } from "../../../src/formats/snappy.ts";
import { lzo1xCompress, snappyCompress } from "../../fixtures/compressors.ts";
import { snappyFrames } from "../../fixtures/dump-writers.ts";

const decoders = [
  { name: "lzo", compress: lzo1xCompress, decompress: lzo1xDecompress },
  { name: "snappy", compress: snappyCompress, decompress: snappyDecompress },
];

/** Bytes that repeat at near and far distances, as well as noise. */
const contents = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.record({ byte: fc.nat(255), length: fc.nat(5000) }),
      fc.record({ back: fc.integer({ min: 1, max: 60_000 }), length: fc.nat(600) }),
    ),
    { maxLength: 40 },
  )
  .map((parts) => {
    const bytes: number[] = [];
    for (const part of parts) {
      if (part instanceof Uint8Array) bytes.push(...part);
      else if ("byte" in part) for (let i = 0; i < part.length; i++) bytes.push(part.byte);
      else {
        const from = Math.max(0, bytes.length - part.back);
        if (bytes.length > 0) for (let i = 0; i < part.length; i++) bytes.push(bytes[from + i]);
      }
    }
    return Uint8Array.from(bytes);
  });

/** Bounds on both sides stay untouched, whatever the input. */
function decodeGuarded(
  decompress: (typeof decoders)[number]["decompress"],
  packed: Uint8Array,
  size: number,
): { written: number; bytes: Uint8Array } {
  const guarded = new Uint8Array(size + 64).fill(0xa5);
  const input = new Uint8Array(packed.length + 32).fill(0x11);
  input.set(packed, 16);
  const target = guarded.subarray(32, 32 + size);
  const written = decompress(input, 16, 16 + packed.length, target);
  assert.ok(guarded.subarray(0, 32).every((byte) => byte === 0xa5));
  assert.ok(guarded.subarray(32 + size).every((byte) => byte === 0xa5));
  assert.ok(written >= -1 && written <= size);
  return { written, bytes: target.slice(0, Math.max(0, written)) };
}

for (const { name, compress, decompress } of decoders) {
  test(`${name} gives back what was compressed, and refuses too small a target`, () => {
    fc.assert(
      fc.property(contents, (content) => {
        const packed = compress(content);
        const { written, bytes } = decodeGuarded(decompress, packed, content.length);
        assert.equal(written, content.length);
        assert.deepEqual(bytes, content);
        const whole = decodeGuarded(decompress, packed, content.length + 100);
        assert.equal(whole.written, content.length);
        if (content.length === 0) return;
        assert.equal(decodeGuarded(decompress, packed, content.length - 1).written, -1);
        assert.equal(decodeGuarded(decompress, packed.subarray(0, -1), content.length).written, -1);
      }),
      { seed: 41, numRuns: 150 },
    );
  });

  test(`${name} stays inside its bounds on damaged and random input`, () => {
    const damage = fc.array(fc.record({ at: fc.nat(), byte: fc.nat(255) }), { maxLength: 8 });
    fc.assert(
      fc.property(contents, damage, fc.uint8Array({ maxLength: 200 }), (content, damage, noise) => {
        const packed = compress(content);
        for (const { at, byte } of damage) packed[at % packed.length] = byte;
        decodeGuarded(decompress, packed, 4096);
        decodeGuarded(decompress, noise, 4096);
      }),
      { seed: 42, numRuns: 600 },
    );
  });
}

test("streams of the real libraries decode", () => {
  // lzo1x_1_compress and snappy_compress of these 96 bytes.
  const text = Buffer.from("kvmsec reads guest memory. ".repeat(4).slice(0, 96));
  const samples = [
    {
      decompress: lzo1xDecompress,
      hex: "00096b766d736563207265616473206775657374206d656d6f72792e20201368000e2e206b766d736563207265616473206775110000",
    },
    {
      decompress: snappyDecompress,
      hex: "60686b766d736563207265616473206775657374206d656d6f72792e20fe1b00051b",
    },
  ];
  for (const { decompress, hex } of samples) {
    const target = new Uint8Array(96);
    const packed = Buffer.from(hex, "hex");
    assert.equal(decompress(packed, 0, packed.length, target), 96);
    assert.deepEqual(Buffer.from(target), text);
  }
});

test("CRC-32C of the known vectors", () => {
  // RFC 3720, B.4; and the check value of the CRC catalogue.
  assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e);
  assert.equal(maskedCrc32c(new Uint8Array(0)), 0xa282ead8);
});

test("a frame's chunks decode only with the right checksum", () => {
  fc.assert(
    fc.property(contents, fc.nat(), (content, victim) => {
      const frames = snappyFrames(content);
      const out: Uint8Array[] = [];
      for (let at = 0; at < frames.length;) {
        const chunk = parseSnappyChunk(frames.subarray(at))!;
        const bytes = frames.subarray(at, at + chunk.fileSize);
        if (chunk.size > 0) {
          const target = new Uint8Array(chunk.size);
          assert.ok(decodeSnappyChunk(bytes, target));
          out.push(target);
          const damaged = Buffer.from(bytes);
          damaged[4 + (victim % (bytes.length - 4))] ^= 0x10;
          const size = parseSnappyChunk(damaged)?.size;
          const wrong = new Uint8Array(chunk.size);
          const accepted = size === chunk.size && decodeSnappyChunk(damaged, wrong);
          if (accepted) assert.deepEqual(wrong, target);
        }
        at += chunk.fileSize;
      }
      assert.deepEqual(Buffer.concat(out), Buffer.from(content));
    }),
    { seed: 43, numRuns: 60 },
  );
});
