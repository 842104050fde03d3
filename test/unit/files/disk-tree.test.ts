import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { DiskFile } from "../../../src/files/disk-file.ts";
import { DiskTree, directoryOf } from "../../../src/files/disk-tree.ts";
import { filesBelow } from "../../../src/files/file-tree.ts";
import { ExtFileSystem } from "../../../src/formats/ext/file-system.ts";
import { TemporaryFolder } from "../../fixtures/temporary.ts";

const folder = new TemporaryFolder();
const opened: DiskFile[] = [];
after(() => {
  for (const file of opened) file[Symbol.dispose]();
  folder[Symbol.dispose]();
});

/** A file system with these files; a content that begins with `->` is a link. */
function fileSystem(name: string, files: Readonly<Record<string, string>>): ExtFileSystem {
  const root = join(folder.path, `${name}-root`);
  for (const [path, content] of Object.entries(files)) {
    const full = join(root, path);
    mkdirSync(join(full, ".."), { recursive: true });
    if (content.startsWith("->")) symlinkSync(content.slice(2), full);
    else writeFileSync(full, content);
  }
  const path = folder.file(name, "");
  truncateSync(path, 4 * 2 ** 20);
  execFileSync("mke2fs", ["-q", "-F", "-t", "ext4", "-d", root, path], { stdio: "pipe" });
  const file = DiskFile.open(path);
  opened.push(file);
  const fs = ExtFileSystem.open(file);
  return typeof fs === "string" ? assert.fail(fs) : fs;
}

const boot = fileSystem("boot", { vmlinuz: "the kernel", up: "->../etc/name", "deep/a": "a" });
const root = fileSystem("root", {
  "boot/hidden": "under the mount",
  "etc/name": "name",
  "usr/lib/x": "x",
  lib: "->usr/lib",
  "links/far": "->/boot/vmlinuz",
  "links/near": "->../etc/./name",
  "links/loop": "->loop",
  "links/ping": "->pong",
  "links/pong": "->ping",
  "links/above": "->../../../../etc/name",
  "links/none": "->/no/where",
});
const tree = new DiskTree("test", root, new Map([["/boot", boot]]));

function text(path: string): string {
  const found = tree.read(path, 1000);
  return "bytes" in found ? Buffer.from(found.bytes).toString() : found.missing;
}

test("paths lead through links and mounts", () => {
  assert.equal(text("/etc/name"), "name");
  assert.equal(text("lib/x"), "x");
  assert.equal(text("/links/far"), "the kernel");
  assert.equal(text("/links/near"), "name");
  assert.equal(text("/links/above"), "name");
  assert.equal(text("/boot/up"), "name");
  assert.equal(text("/boot/deep/../vmlinuz"), "the kernel");
  assert.equal(text("/boot/../boot/./deep//a"), "a");
});

test("paths that lead nowhere are told from those that cannot be followed", () => {
  assert.equal(text("/boot/hidden"), "there is no such file");
  assert.equal(text("/links/none"), "there is no such file");
  assert.equal(text("/etc/name/x"), "there is no such file");
  assert.equal(text("/links/loop"), "a link in its path cannot be followed");
  assert.equal(text("/links/ping/x"), "a link in its path cannot be followed");
  assert.equal(text("/etc"), "it is no file");
  assert.equal(text("a/".repeat(3000)), "there is no such file");
  assert.equal(text("./".repeat(3000)), "it is no file");
});

test("a file that is larger than wanted is not read", () => {
  assert.deepEqual(tree.read("/etc/name", 3), { missing: "it has 4 bytes" });
});

test("folders are listed as they are", () => {
  assert.deepEqual(
    tree.list("/boot")?.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
    [
      { name: "deep", folder: true },
      { name: "lost+found", folder: true },
      { name: "up", folder: false },
      { name: "vmlinuz", folder: false },
    ],
  );
  assert.equal(tree.list("/etc/name"), undefined);
  assert.deepEqual([...filesBelow(tree, "/usr")], ["/usr/lib/x"]);
  const link = tree.find("/lib", false);
  assert.ok(typeof link !== "string" && link.fileSystem.link(link.inode) === "usr/lib");
  const links = tree.find("/links");
  assert.ok(typeof links !== "string" && directoryOf(links, assert.fail).length === 7);
});
