import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { DiskFile } from "../../../src/files/disk-file.ts";
import { diskBytes } from "../../../src/formats/disk/disk-bytes.ts";
import type { DiskBytes } from "../../../src/formats/disk/disk-bytes.ts";
import { Qcow2 } from "../../../src/formats/disk/qcow2.ts";
import { isQcow2, parseQcow2Header } from "../../../src/formats/disk/qcow2-header.ts";
import type { Qcow2Header } from "../../../src/formats/disk/qcow2-header.ts";
import { memoryDisk } from "../../fixtures/memory-disk.ts";
import { mutations } from "../../fixtures/mutations.ts";
import { TemporaryFolder } from "../../fixtures/temporary.ts";

const MiB = 2 ** 20;
const folder = new TemporaryFolder();
after(() => folder[Symbol.dispose]());
folder.file("raw", pattern(4 * MiB));

/** Words that differ, with zeros between. */
function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 4) {
    if ((at >> 16) % 3 !== 0) bytes.writeUInt32LE(Math.imul(at >> 7, 0x9e3779b1) >>> 0, at);
  }
  return bytes;
}

function tool(name: string, ...args: string[]): void {
  execFileSync(name, args, { cwd: folder.path, stdio: "pipe" });
}

/** A disk of 5 MiB over one of 4 MiB, both written to: data, zeros, and nothing. */
function makeChain(options: string, packed: boolean): void {
  const given = options === "" ? [] : ["-o", options];
  tool("qemu-img", "convert", ...(packed ? ["-c"] : []), "-O", "qcow2", ...given, "raw", "below");
  const below = ["-c", "write -z 1M 100k", "-c", "write -P 7 3000000 3000"];
  tool("qemu-io", "-f", "qcow2", ...below, "below");
  const own = options.startsWith("data_file") ? [] : given;
  tool("qemu-img", "create", "-f", "qcow2", "-F", "qcow2", "-b", "below", ...own, "top", "5M");
  const top = ["-c", "write -P 9 2M 100k", "-c", "write -z 2500k 70k", "-c", "write -P 3 4500k 1k"];
  tool("qemu-io", "-f", "qcow2", ...top, "top");
  tool("qemu-img", "convert", "-O", "raw", "top", "expected");
}

function header(file: DiskBytes): Qcow2Header {
  const parsed = parseQcow2Header(file);
  return typeof parsed === "string" ? assert.fail(parsed) : parsed;
}

const forms: readonly (readonly [string, boolean])[] = [
  ["", false],
  ["compression_type=zstd", true],
  ["compression_type=zlib", true],
  ["extended_l2=on", false],
  ["cluster_size=2M,extended_l2=on,compression_type=zstd", true],
  ["cluster_size=512,compression_type=zstd", true],
  ["compat=0.10", true],
  ["data_file=data", false],
];

for (const [options, packed] of forms) {
  test(`a chain of images is read as qemu-img reads it: ${options}${packed ? ", packed" : ""}`, () => {
    makeChain(options, packed);
    using lower = DiskFile.open(join(folder.path, "below"));
    using upper = DiskFile.open(join(folder.path, "top"));
    assert.ok(isQcow2(upper));
    const { backing } = header(upper);
    assert.deepEqual(backing, { name: "below", format: "qcow2" });
    const { dataFile } = header(lower);
    using data = dataFile && DiskFile.open(join(folder.path, dataFile.name!));
    const below = new Qcow2(lower, header(lower), data === undefined ? {} : { data });
    const top = new Qcow2(upper, header(upper), { below });
    const expected = readFileSync(join(folder.path, "expected"));
    const seen = diskBytes(top, 0, top.size);
    assert.ok(seen !== undefined && expected.equals(seen));
    // Pieces that begin and end anywhere are the same.
    for (const at of [1, 65_535, 1_048_577, 2_999_999, 4_194_303]) {
      const piece = diskBytes(top, at, 131_073);
      assert.ok(piece !== undefined && expected.subarray(at, at + 131_073).equals(piece));
    }
    assert.equal(diskBytes(top, top.size - 1, 2), undefined);
  });
}

test("images that cannot be read are named", () => {
  tool("qemu-img", "create", "-q", "-f", "qcow2", "plain", "1M");
  const plain = readFileSync(join(folder.path, "plain"));
  const changed = (at: number, value: number): string => {
    const copy = Buffer.from(plain);
    copy.writeUInt32BE(value, at);
    return String(parseQcow2Header(memoryDisk(copy)));
  };
  assert.match(changed(4, 1), /version 1/);
  assert.match(changed(32, 2), /encrypted/);
  assert.match(changed(76, 0x20), /features 0x20/);
  assert.match(changed(20, 30), /cluster size/);
  assert.match(changed(36, 0x7fffffff), /first table/);
});

test("damaged images neither throw nor hang", () => {
  makeChain("compression_type=zstd,cluster_size=4096", true);
  const bytes = readFileSync(join(folder.path, "below"));
  // Most of the damage goes to the head and the tables, which lie first.
  const head = bytes.subarray(0, 40_960);
  for (const damaged of mutations(head, 150, 5)) {
    const file = memoryDisk(Buffer.concat([damaged, bytes.subarray(head.length)]));
    const parsed = parseQcow2Header(file);
    if (typeof parsed === "string") continue;
    const image = new Qcow2(file, parsed);
    for (let at = 0; at < 4 * MiB; at += 65_536) diskBytes(image, at, 65_536);
  }
});
