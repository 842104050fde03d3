import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { lstatSync, mkdirSync, readdirSync, readlinkSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { DiskFile } from "../../../src/files/disk-file.ts";
import type { DiskBytes } from "../../../src/formats/disk/disk-bytes.ts";
import { XfsFileSystem } from "../../../src/formats/xfs/file-system.ts";
import { Damaged } from "../../fixtures/damaged-disk.ts";
import { makeFileZoo } from "../../fixtures/file-zoo.ts";
import { assertSame, walkDamaged } from "../../fixtures/same-tree.ts";
import { randomNumbers } from "../../fixtures/sparse-ram.ts";
import { TemporaryFolder } from "../../fixtures/temporary.ts";

const folder = new TemporaryFolder();
const zoo = join(folder.path, "zoo");
before(() => {
  mkdirSync(zoo);
  makeFileZoo(zoo);
  // mkfs.xfs takes the root's mode from here.
  folder.file("proto", `/boot\n0 0\n${protoOf(zoo, "")}`);
});
after(() => folder[Symbol.dispose]());

/** What mkfs.xfs is to fill a file system with (its option -p). */
function protoOf(host: string, name: string): string {
  const stat = lstatSync(host);
  const mode = (stat.mode & 0o777).toString(8).padStart(3, "0");
  const head = (type: string) => `${name} ${type}--${mode} ${stat.uid} ${stat.gid}`.trim();
  if (stat.isSymbolicLink()) return `${head("l")} ${readlinkSync(host)}\n`;
  if (!stat.isDirectory()) return `${head("-")} ${host}\n`;
  const inner = readdirSync(host).map((one) => protoOf(join(host, one), one));
  return `${head("d")}\n${inner.join("")}$\n`;
}

const variants: readonly (readonly [string, readonly string[]])[] = [
  ["as RHEL 9 makes it", []],
  ["without big times, as RHEL 8", ["-m", "bigtime=0,inobtcount=0"]],
  ["large counts of extents", ["-i", "nrext64=1"]],
  ["blocks of 1 KiB, directories in blocks of 8 KiB", ["-b", "size=1024", "-n", "size=8192"]],
  ["large inodes", ["-i", "size=2048"]],
  ["version 4, as CentOS 7", ["-m", "crc=0", "-n", "ftype=1"]],
  ["version 4 without types in directories", ["-m", "crc=0", "-n", "ftype=0"]],
];

for (const [index, [name, options]] of variants.entries()) {
  test(`what mkfs.xfs wrote is read: ${name}`, () => {
    using file = DiskFile.open(makeFileSystem(`fs-${index}`, options));
    assertSame(open(file), zoo);
  });
}

test("what cannot be read is named", () => {
  using nothing = DiskFile.open(folder.file("nothing", Buffer.alloc(4096)));
  assert.match(String(XfsFileSystem.open(nothing)), /no XFS/);
  using file = DiskFile.open(makeFileSystem("features", []));
  assert.match(String(XfsFileSystem.open(new Damaged(file, new Map([[216, 0x80]])))), /features/);
});

test("damaged file systems neither throw nor hang", () => {
  using file = DiskFile.open(makeFileSystem("damaged", []));
  const next = randomNumbers(4);
  const { root } = open(file);
  for (let round = 0; round < 150; round++) {
    const changes = new Map<number, number>();
    for (let left = 1 + (next() % 300); left > 0; left--) {
      // The head, and the inodes and small directories behind it.
      const place = next() % 4 === 0 ? 4 + (next() % 300) : 32_768 + (next() % 400_000);
      changes.set(place, next() % 3 === 0 ? 0xff : next() & 0xff);
    }
    walkDamaged(XfsFileSystem.open(new Damaged(file, changes)), root);
  }
});

function makeFileSystem(name: string, options: readonly string[]): string {
  const path = folder.file(name, "");
  truncateSync(path, 320 * 2 ** 20);
  const proto = ["-p", join(folder.path, "proto")];
  execFileSync("mkfs.xfs", ["-q", "-f", ...proto, ...options, path], { stdio: "pipe" });
  return path;
}

function open(disk: DiskBytes): XfsFileSystem {
  const fs = XfsFileSystem.open(disk);
  return typeof fs === "string" ? assert.fail(fs) : fs;
}
