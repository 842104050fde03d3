import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decompressKernel, parseBzImage } from "../../../src/formats/bzimage.ts";
import type { BzImage } from "../../../src/formats/bzimage.ts";
import { lz4Block, lz4Legacy } from "../../../src/formats/lz4.ts";
import { lz4Compress, lz4Frame, writeBzImage } from "../../fixtures/boot-image.ts";

const kernel = Buffer.from("the kernel, the kernel, the whole kernel ".repeat(500));

function parsed(bytes: Uint8Array): BzImage {
  const result = parseBzImage(bytes);
  assert.ok(result.ok, result.ok ? "" : result.reason);
  return result.image;
}

function reason(result: { ok: true } | { ok: false; reason: string }): string {
  return result.ok ? "" : result.reason;
}

describe("boot image", () => {
  for (const compression of ["gzip", "zstd", "lz4"] as const) {
    test(`with a ${compression} kernel`, () => {
      const image = parsed(writeBzImage({ compression, kernel, version: "6.1.0-test (me) #1" }));
      assert.equal(image.compression, compression);
      assert.equal(image.size, kernel.length);
      assert.equal(image.version, "6.1.0-test (me) #1");
      const result = decompressKernel(image);
      assert.ok(result.ok, reason(result));
      assert.equal(Buffer.compare(result.vmlinux, kernel), 0);
    });

    test(`a damaged ${compression} kernel is told`, () => {
      const image = parsed(writeBzImage({ compression, kernel }));
      const payload = image.payload.slice();
      payload.fill(0xff, payload.length >> 1);
      assert.match(reason(decompressKernel({ ...image, payload })), /damaged/);
    });
  }

  test("a size that the kernel has not is told", () => {
    for (const size of [0, kernel.length - 1, kernel.length + 1]) {
      const image = parsed(writeBzImage({ compression: "zstd", kernel, size }));
      assert.match(reason(decompressKernel(image)), /damaged|bytes long/);
    }
    const image = parsed(writeBzImage({ compression: "lz4", kernel, size: 0xffffffff }));
    assert.match(reason(decompressKernel(image)), /too large/);
  });

  test("a packing that no distribution uses is told", () => {
    const bytes = writeBzImage({ compression: "lz4", kernel });
    bytes.set(Buffer.from("425a68", "hex"), 2048 + 100);
    const image = parsed(bytes);
    assert.equal(image.compression, "bzip2");
    assert.match(reason(decompressKernel(image)), /it is packed with bzip2/);
  });

  test("says why bytes are no boot image", () => {
    const good = writeBzImage({ compression: "gzip", kernel });
    const changed = (at: number, ...values: number[]) => {
      const copy = good.slice();
      copy.set(values, at);
      return reason(parseBzImage(copy));
    };
    assert.match(reason(parseBzImage(new Uint8Array(100))), /no boot sector/);
    assert.match(changed(0x1fe, 0), /no boot sector/);
    assert.match(changed(0x202, 0), /no Linux boot header/);
    assert.match(changed(0x206, 7), /protocol 2.7/);
    assert.match(changed(0x24f, 0xff), /outside/);
    assert.match(changed(0x24c, 1, 0), /outside/);
    assert.match(changed(2148, 1, 2), /unknown compression, beginning 0102/);
    assert.equal(parsed(good).version, "");
  });
});

describe("LZ4", () => {
  test("overlapping matches", () => {
    // "ab", then 11 bytes from 2 back, then "end!!".
    const block = Uint8Array.of(0x27, 0x61, 0x62, 2, 0, 0x50, ...Buffer.from("end!!"));
    const target = new Uint8Array(18);
    assert.equal(lz4Block(block, 0, block.length, target, 0), 18);
    assert.equal(Buffer.from(target).toString(), "abababababababend!!".slice(0, 13) + "end!!");
  });

  test("round trip, of long literals and matches too", () => {
    const noise = Uint8Array.from({ length: 3000 }, (_, i) => (i * i * 31) >> 3);
    for (const source of [kernel, noise, Buffer.alloc(70_000), Buffer.from("x"), Buffer.alloc(0)]) {
      const block = lz4Compress(source);
      const target = new Uint8Array(source.length);
      assert.equal(lz4Block(block, 0, block.length, target, 0), source.length);
      assert.equal(Buffer.compare(target, source), 0);
    }
  });

  test("damaged blocks write nothing outside", () => {
    const target = new Uint8Array(8);
    const damaged = [
      [0xf0],
      [0x10],
      [0x14, 1, 0, 0],
      [0x14, 1, 2, 0],
      [0x1f, 1, 1, 0, 255],
      [0x90],
    ];
    for (const block of [...damaged, [0x14, 1, 1, 0]]) {
      assert.equal(lz4Block(Uint8Array.from(block), 0, block.length, target, 0), -1);
    }
    assert.equal(lz4Legacy(new Uint8Array(20), target), undefined);
    assert.equal(lz4Legacy(lz4Frame(Buffer.from("short")), target), undefined);
  });
});
