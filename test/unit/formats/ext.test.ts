import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { DiskFile } from "../../../src/files/disk-file.ts";
import type { DiskBytes } from "../../../src/formats/disk/disk-bytes.ts";
import { ExtFileSystem } from "../../../src/formats/ext/file-system.ts";
import type { ExtInode } from "../../../src/formats/ext/inode.ts";
import { Damaged } from "../../fixtures/damaged-disk.ts";
import { makeFileZoo } from "../../fixtures/file-zoo.ts";
import { randomNumbers } from "../../fixtures/sparse-ram.ts";
import { assertSame, contentOf, walkDamaged } from "../../fixtures/same-tree.ts";
import { TemporaryFolder } from "../../fixtures/temporary.ts";

const folder = new TemporaryFolder();
const zoo = join(folder.path, "zoo");
before(() => {
  mkdirSync(zoo);
  makeFileZoo(zoo);
});
after(() => folder[Symbol.dispose]());

const variants: readonly (readonly [string, readonly string[]])[] = [
  ["ext4 as Debian makes it", ["-t", "ext4", "-b", "4096"]],
  ["ext4, blocks of 1 KiB", ["-t", "ext4", "-b", "1024"]],
  [
    "ext4, blocks of 2 KiB, without 64bit and checksums",
    ["-t", "ext4", "-b", "2048", "-O", "^64bit,^metadata_csum"],
  ],
  ["ext4 with data in inodes", ["-t", "ext4", "-I", "256", "-O", "inline_data"]],
  ["ext4 with data in large inodes", ["-t", "ext4", "-I", "1024", "-O", "inline_data,ea_inode"]],
  ["ext4 with a seed of checksums", ["-t", "ext4", "-O", "metadata_csum_seed"]],
  ["ext4 with META_BG", ["-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode", "-N", "20000"]],
  [
    "ext4 with META_BG and small descriptors",
    ["-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode,^64bit"],
  ],
  [
    "ext4 with sparse_super2",
    ["-t", "ext4", "-b", "1024", "-O", "sparse_super2,^resize_inode,meta_bg"],
  ],
  ["ext4 in clusters", ["-t", "ext4", "-O", "bigalloc", "-C", "16384"]],
  ["ext4 with casefold and large directories", ["-t", "ext4", "-O", "casefold,large_dir"]],
  ["ext3", ["-t", "ext3"]],
  ["ext3, blocks of 1 KiB, small inodes", ["-t", "ext3", "-b", "1024", "-I", "128"]],
  ["ext2, blocks of 1 KiB", ["-t", "ext2", "-b", "1024"]],
  ["ext2 without types in directories", ["-t", "ext2", "-O", "^filetype", "-I", "128"]],
];

for (const [index, [name, options]] of variants.entries()) {
  test(`what mke2fs wrote is read: ${name}`, () => {
    const path = join(folder.path, `fs-${index}`);
    makeFileSystem(path, options);
    using file = DiskFile.open(path);
    assertSame(open(file), zoo);
    // The large directory gets a hash tree, and the file system is checked by its own tool.
    if (index % 4 !== 0) return;
    execFileSync("e2fsck", ["-fyD", path], { stdio: "pipe" });
    using again = DiskFile.open(path);
    assertSame(open(again), zoo);
  });
}

test("what was allocated and never written reads as zeros, and is told from data", () => {
  const path = join(folder.path, "unwritten");
  makeFileSystem(path, ["-t", "ext4"]);
  const size = 12_289;
  execFileSync("debugfs", ["-w", "-R", `fallocate /sizes/${size} 0 20`, path], { stdio: "pipe" });
  execFileSync("debugfs", ["-w", "-R", `set_inode_field /sizes/${size} size 80000`, path], {
    stdio: "pipe",
  });
  using file = DiskFile.open(path);
  const fs = open(file);
  const inode = find(fs, `sizes/${size}`);
  const dumped = execFileSync("debugfs", ["-R", `cat /sizes/${size}`, path], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  assert.equal(Buffer.compare(contentOf(fs, inode), dumped), 0);
  assert.ok([...fs.pieces(inode, assert.fail)].some(({ bytes }) => bytes === "unwritten"));
});

test("what cannot be read is named", () => {
  const path = join(folder.path, "journal");
  truncateSync(folder.file("journal", ""), 8 * 2 ** 20);
  execFileSync("mke2fs", ["-q", "-O", "journal_dev", path], { stdio: "pipe" });
  using file = DiskFile.open(path);
  assert.match(String(ExtFileSystem.open(file)), /features 0x8/);
  using nothing = DiskFile.open(folder.file("nothing", Buffer.alloc(4096)));
  assert.match(String(ExtFileSystem.open(nothing)), /no ext file system/);
});

test("an inode that does not match its checksum is not believed", () => {
  const path = join(folder.path, "checksum");
  makeFileSystem(path, ["-t", "ext4", "-b", "4096"]);
  using file = DiskFile.open(path);
  const root = execFileSync("debugfs", ["-R", "imap <2>", path], {
    encoding: "utf8",
    stdio: "pipe",
  });
  const [, block, offset] = /located at block (\d+), offset 0x([0-9a-f]+)/.exec(root) ?? [];
  const at = Number(block) * 4096 + Number.parseInt(offset!, 16);
  const damaged = new Damaged(file, new Map([[at + 4, 1]]));
  assert.equal(open(damaged).inode(2), undefined);
  assert.equal(open(file).inode(2)?.type, "directory");
});

test("damaged file systems neither throw nor hang, and give no more than was asked for", () => {
  for (const options of [
    ["-t", "ext4", "-O", "inline_data,^metadata_csum"],
    ["-t", "ext2", "-b", "1024"],
  ]) {
    const path = join(folder.path, "damaged");
    makeFileSystem(path, options);
    using file = DiskFile.open(path);
    const next = randomNumbers(options.length);
    for (let round = 0; round < 150; round++)
      walkDamaged(ExtFileSystem.open(damagedCopy(file, next)));
  }
});

function makeFileSystem(path: string, options: readonly string[]): void {
  folder.file(path.slice(folder.path.length + 1), "");
  truncateSync(path, 48 * 2 ** 20);
  execFileSync("mke2fs", ["-q", "-F", ...options, "-d", zoo, path], { stdio: "pipe" });
}

function open(disk: DiskBytes): ExtFileSystem {
  const fs = ExtFileSystem.open(disk);
  if (typeof fs === "string") return assert.fail(fs);
  return fs;
}

function find(fs: ExtFileSystem, path: string): ExtInode {
  let inode = fs.inode(fs.root);
  for (const part of path.split("/")) {
    const entry = [...fs.entries(inode!, assert.fail)].find(({ name }) => name === part);
    inode = fs.inode(entry!.inode);
  }
  return inode!;
}

/** Damages what is read first: the head, group descriptors, inodes and directories. */
function damagedCopy(disk: DiskBytes, next: () => number): Damaged {
  const changes = new Map<number, number>();
  for (let left = 1 + (next() % 200); left > 0; left--) {
    const place = next() % 4 === 0 ? 1024 + (next() % 1024) : next() % 2_000_000;
    const value = next() % 3 === 0 ? 0xff : next() & 0xff;
    if (place < 1024 + 56 || place >= 1024 + 58) changes.set(place, value);
  }
  return new Damaged(disk, changes);
}
