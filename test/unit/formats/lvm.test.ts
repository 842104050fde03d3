import assert from "node:assert/strict";
import { test } from "node:test";
import { diskBytes } from "../../../src/formats/disk/disk-bytes.ts";
import { parseConfigText } from "../../../src/formats/lvm/config-text.ts";
import { logicalVolumes } from "../../../src/formats/lvm/volume-group.ts";
import { memoryDisk } from "../../fixtures/memory-disk.ts";
import { mutations } from "../../fixtures/mutations.ts";

const AREA = { start: 4096, size: 8192 };
const DATA = 16_384;
const EXTENT = 4096;
const IDS = ["A".repeat(32), "b".repeat(32)];

/** A group of two disks whose extents are filled with their numbers. */
function description(seqno: number, name = "root"): string {
  return `# made by a test
vg0 {
  seqno = ${seqno}
  extent_size = ${EXTENT / 512}
  physical_volumes {
    pv0 { id = "${IDS[0].replace(/^(.{6})/, "$1-")}" pe_start = ${DATA / 512} }
    pv1 { id = "${IDS[1]}" pe_start = ${DATA / 512} }
  }
  logical_volumes {
    ${name} {
      status = ["READ", "WRITE", "VISIBLE"]
      segment_count = 2
      segment1 { start_extent = 0 extent_count = 2 type = "striped" stripe_count = 1 stripes = ["pv1", 1] }
      segment2 { start_extent = 2 extent_count = 1 type = "striped" stripe_count = 1 stripes = ["pv0", 3] }
    }
    pool { status = ["READ", "VISIBLE"] segment_count = 1 segment1 { type = "thin-pool" } }
    hidden { status = ["READ"] segment_count = 1 segment1 { type = "striped" } }
  }
}
contents = "Text Format Volume Group"
`;
}

/** A disk with a label in its second sector, and the text from `offset` on, round the area's end. */
function disk(index: number, text: string, offset = 512): Buffer {
  const bytes = Buffer.alloc(DATA + 4 * EXTENT);
  bytes.write("LABELONE", 512);
  bytes.writeUInt32LE(32, 512 + 20);
  bytes.write("LVM2 001", 512 + 24);
  bytes.write(IDS[index], 512 + 32);
  const lists = [DATA, 0, 0, 0, AREA.start, AREA.size, 0, 0];
  for (const [at, value] of lists.entries()) {
    bytes.writeBigUInt64LE(BigInt(value), 512 + 32 + 40 + at * 8);
  }
  bytes.write(" LVM2 x[5A%r0N*>", AREA.start + 4);
  bytes.writeBigUInt64LE(BigInt(offset), AREA.start + 40);
  bytes.writeBigUInt64LE(BigInt(text.length), AREA.start + 48);
  for (const [at, code] of [...Buffer.from(text)].entries()) {
    const place = offset + at;
    bytes[AREA.start + (place < AREA.size ? place : 512 + place - AREA.size)] = code;
  }
  for (let extent = 0; extent < 4; extent++) {
    bytes.fill(16 * index + extent, DATA + extent * EXTENT, DATA + (extent + 1) * EXTENT);
  }
  return bytes;
}

function group(...disks: readonly Buffer[]) {
  return logicalVolumes(disks.map(memoryDisk));
}

for (const offset of [512, 7680]) {
  test(`a linear volume is put together; its description begins at ${offset}`, () => {
    const [root, pool, ...others] = group(
      disk(0, description(2), offset),
      disk(1, description(1, "older"), offset),
    );
    assert.deepEqual(others, []);
    assert.equal(root.name, "vg0/root");
    const bytes = diskBytes(root.bytes!, 0, root.bytes!.size);
    assert.deepEqual(
      [0, 1, 2].map((extent) => bytes![extent * EXTENT + 7]),
      [17, 18, 3],
    );
    const across = diskBytes(root.bytes!, 2 * EXTENT - 2, 4);
    assert.deepEqual([...across!], [18, 18, 3, 3]);
    assert.deepEqual(
      [pool.name, pool.bytes, pool.reason],
      ["vg0/pool", undefined, "it is an LVM volume of type thin-pool, which is not read"],
    );
  });
}

test("a volume of which a disk is missing is told", () => {
  const [root] = group(disk(0, description(1)));
  assert.match(root.reason ?? "", /a part of it is on pv1, which is not there/);
});

test("the text form of LVM: comments, quotes, lists, numbers", () => {
  const parsed = parseConfigText('a="x \\"y\\""\n# no\nb=[1, "two"] c { d=-3 e=[] } pv-0.x=7');
  assert.deepEqual(
    parsed,
    new Map<string, unknown>([
      ["a", 'x "y"'],
      ["b", [1, "two"]],
      [
        "c",
        new Map<string, unknown>([
          ["d", -3],
          ["e", []],
        ]),
      ],
      ["pv-0.x", 7],
    ]),
  );
  for (const wrong of ["a=", "a {", "a }", "a=[1", 'a="', "a=$", "{".repeat(100)]) {
    assert.equal(parseConfigText(wrong), undefined, wrong);
  }
  assert.equal(parseConfigText("a {".repeat(50) + "}".repeat(50)), undefined);
});

test("damaged labels and descriptions neither throw nor hang", () => {
  const good = [disk(0, description(1)), disk(1, description(1))];
  for (const damaged of mutations(good[0].subarray(0, DATA), 400, 21)) {
    for (const { bytes } of group(Buffer.from(damaged), good[1])) {
      if (bytes !== undefined) diskBytes(bytes, 0, Math.min(bytes.size, 65_536));
    }
  }
});
