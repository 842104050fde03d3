import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { HostTree } from "../../../src/files/host-tree.ts";
import { moduleFinder } from "../../../src/files/module-files.ts";
import { writeElf } from "../../fixtures/elf-writer.ts";
import { TemporaryFolder } from "../../fixtures/temporary.ts";

const ID = "ab".repeat(20);
const OTHER = "cd".repeat(20);

/** A module file with that build id and nothing else. */
function module(buildId: string): Uint8Array {
  const note = Buffer.alloc(16 + buildId.length / 2);
  note.writeUInt32LE(4, 0);
  note.writeUInt32LE(buildId.length / 2, 4);
  note.writeUInt32LE(3, 8);
  note.write("GNU", 12);
  note.write(buildId, 16, "hex");
  return writeElf({
    type: 1,
    sections: [{ name: ".note.gnu.build-id", type: 7, data: note }],
  });
}

function folderWith(files: Readonly<Record<string, Uint8Array | string>>) {
  const folder = new TemporaryFolder();
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder.path, path)), { recursive: true });
    writeFileSync(join(folder.path, path), content);
  }
  return folder;
}

const plain = module(ID);
const packings: readonly (readonly [string, Uint8Array])[] = [
  ["", plain],
  [".gz", gzipSync(plain)],
  [".zst", zstdCompressSync(plain)],
];

for (const [ending, packed] of packings) {
  test(`a module is found by name and build id: .ko${ending}`, () => {
    const path = `kernel/net/nf-tables.ko${ending}`;
    using folder = folderWith({ [path]: packed, "modules.dep": `${path}: kernel/x.ko\n` });
    const find = moduleFinder([{ tree: new HostTree(folder.path), path: "" }], "nowhere");
    assert.deepEqual(find("nf_tables", ID), {
      bytes: Buffer.from(plain),
      from: `${folder.path}: /${path}`,
    });
    const replaced = find("nf_tables", OTHER);
    assert.match("missing" in replaced ? replaced.missing : "", /it has build id abab/);
    assert.match(JSON.stringify(find("other", ID)), /none of that name/);
  });
}

test("without modules.dep the folder is walked, and of several files the right one is taken", () => {
  using folder = folderWith({
    "kernel/a/x.ko": module(OTHER),
    "updates/dkms/x.ko": plain,
    "kernel/a/broken.ko": "nothing",
  });
  const find = moduleFinder([{ tree: new HostTree(folder.path), path: "" }], "nowhere");
  const found = find("x", ID);
  assert.equal("from" in found && found.from, `${folder.path}: /updates/dkms/x.ko`);
  assert.match(JSON.stringify(find("broken", ID)), /broken\.ko: /);
});

test("without a folder the reason says so", () => {
  assert.deepEqual(moduleFinder([], "nowhere to look")("x", ID), { missing: "nowhere to look" });
});
