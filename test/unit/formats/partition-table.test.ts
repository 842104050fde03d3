import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, truncateSync } from "node:fs";
import { after, test } from "node:test";
import { DiskFile } from "../../../src/files/disk-file.ts";
import { readPartitions } from "../../../src/formats/disk/partition-table.ts";
import { volumeKind } from "../../../src/formats/disk/volume-kind.ts";

import { memoryDisk } from "../../fixtures/memory-disk.ts";
import { mutations } from "../../fixtures/mutations.ts";
import { TemporaryFolder } from "../../fixtures/temporary.ts";

const folder = new TemporaryFolder();
after(() => folder[Symbol.dispose]());

const scripts: readonly (readonly [string, string])[] = [
  ["gpt", "label: gpt\n2048 4096 L\n,8M,U\n,,L\n"],
  [
    "gpt with gaps in its numbers",
    "label: gpt\n3 : start=4096 size=2048\n128 : start=8192 size=2048\n",
  ],
  ["mbr", "label: dos\n2048 4096 83\n,8192,82\n,,83\n"],
  ["mbr with logical partitions", "label: dos\n,4M,L\n,,E\n,2M,L\n,3M,L\n,,L\n"],
];

function makeDisk(name: string, script: string): string {
  const path = folder.file(name, "");
  truncateSync(path, 32 * 2 ** 20);
  execFileSync("sfdisk", ["--quiet", path], { input: script, stdio: ["pipe", "ignore", "pipe"] });
  return path;
}

for (const [name, script] of scripts) {
  test(`partitions are those that sfdisk made: ${name}`, () => {
    const path = makeDisk(name, script);
    const said = execFileSync("sfdisk", ["--json", path], { encoding: "utf8" });
    type Said = {
      partitiontable: { partitions: { node: string; start: number; size: number; type: string }[] };
    };
    const { partitions } = (JSON.parse(said) as Said).partitiontable;
    const expected = partitions
      .filter(({ type }) => type !== "5")
      .map(({ node, start, size }) => ({
        number: Number(node.slice(path.length)),
        start: start * 512,
        size: size * 512,
      }));
    using disk = DiskFile.open(path);
    assert.deepEqual(readPartitions(disk), expected);
  });
}

test("a disk without partitions has none", () => {
  using disk = DiskFile.open(folder.file("empty", Buffer.alloc(65_536)));
  assert.deepEqual(readPartitions(disk), []);
});

const volumes: readonly (readonly [string, readonly string[], string])[] = [
  ["mke2fs", ["-q", "-F", "-t", "ext4"], "ext"],
  ["mke2fs", ["-q", "-F", "-t", "ext2", "-b", "1024"], "ext"],
  ["mkswap", [], "swap"],
];

for (const [tool, options, kind] of volumes) {
  test(`${tool} ${options.join(" ")} makes ${kind}`, () => {
    const path = folder.file("volume", "");
    truncateSync(path, 16 * 2 ** 20);
    execFileSync(tool, [...options, path], { stdio: "pipe" });
    using volume = DiskFile.open(path);
    assert.equal(volumeKind(volume), kind);
  });
}

test("an empty volume, and one that is too short, is nothing", () => {
  for (const size of [0, 100, 2048, 65_536]) {
    using volume = DiskFile.open(folder.file("nothing", Buffer.alloc(size)));
    assert.equal(volumeKind(volume), undefined);
  }
});

test("partitions of damaged tables lie within the disk, and end", () => {
  for (const [name, script] of scripts) {
    const bytes = readFileSync(makeDisk(name, script));
    for (const damaged of mutations(bytes.subarray(0, 40_960), 200, 9)) {
      for (const { start, size } of readPartitions(memoryDisk(damaged))) {
        assert.ok(start > 0 && size > 0 && start < damaged.length);
      }
    }
  }
});
