import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { ModuleFinder } from "../../../src/files/module-files.ts";
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

/** A finder that knows of nothing but a folder of the host. */
function finderIn(modulesDir: string | undefined): ModuleFinder {
  return new ModuleFinder({ release: "6.1.0-test", modulesDir, trees: () => [] });
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
    const finder = finderIn(folder.path);
    assert.deepEqual(finder.find("nf_tables", ID), {
      bytes: Buffer.from(plain),
      from: `${folder.path}: /${path}`,
    });
    const replaced = finder.find("nf_tables", OTHER);
    assert.match("missing" in replaced ? replaced.missing : "", /it has build id abab/);
    assert.match(JSON.stringify(finder.find("other", ID)), /no file of that name/);
  });
}

test("without modules.dep the folder is walked, and of several files the right one is taken", () => {
  using folder = folderWith({
    "kernel/a/x.ko": module(OTHER),
    "updates/dkms/x.ko": plain,
    "kernel/a/broken.ko": "nothing",
  });
  const finder = finderIn(folder.path);
  const found = finder.find("x", ID);
  assert.equal("from" in found && found.from, `${folder.path}: /updates/dkms/x.ko`);
  assert.match(JSON.stringify(finder.find("broken", ID)), /broken\.ko: /);
});

test("without a place to look the reason says so", () => {
  assert.deepEqual(finderIn(undefined).find("x", ID), {
    missing: "no file of that name was found",
  });
});

test("why a file system could not be read is part of the reason", () => {
  const finder = new ModuleFinder({
    release: "6.1.0-test",
    modulesDir: undefined,
    *trees(problem) {
      problem("partition 2: it is encrypted");
      yield* [];
    },
  });
  assert.match(JSON.stringify(finder.find("x", ID)), /partition 2: it is encrypted/);
});
