import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { sealPackage } from "../../../src/evidence/manifest.ts";
import { verifyPackage } from "../../../src/evidence/verify.ts";
import { changeStorage } from "../../../src/response/storage-job.ts";
import { openHome } from "../../../src/vm/home.ts";

/** As a capture names them; one is empty, one has a name that people write. */
const contents: Readonly<Record<string, Buffer>> = {
  "memory.elf": Buffer.alloc(70_000, "memory "),
  "device-state.bin": Buffer.alloc(4_000, 7),
  "disk-disk0.qcow2": Buffer.alloc(9_000, "disk"),
  "registers.json": Buffer.from('{"schema":"kvmsec.registers/1"}\n'),
  "registers.txt": Buffer.from("CPU#0\n"),
  "screen.png": Buffer.from("\u0089PNG"),
  "findings.json": Buffer.from("{}\n"),
  "views/ps.json": Buffer.from('{"processes":[]}\n'),
  "views/dmesg.json": Buffer.from(""),
  "views/länge.json": Buffer.from("ü\n"),
};

let scratch: string;
const forms: { name: string; folder: string; files: string[] }[] = [];

before(async () => {
  scratch = mkdtempSync(join(tmpdir(), "kvmsec-tampering-"));
  mkdirSync(join(scratch, "home"), { mode: 0o700 });
  const home = openHome({ KVMSEC_HOME: join(scratch, "home") });
  for (const name of ["plain", "compressed"]) {
    const folder = join(scratch, name);
    mkdirSync(join(folder, "views"), { recursive: true });
    for (const [path, bytes] of Object.entries(contents)) writeFileSync(join(folder, path), bytes);
    await sealPackage(home, folder, "id", { target: "web" });
    if (name === "compressed") await changeStorage(home, folder, "compress");
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
    forms.push({
      name,
      folder,
      files: files.filter((path) => lstatSync(join(folder, path)).isFile()).toSorted(),
    });
  }
});
after(() => rmSync(scratch, { recursive: true, force: true }));

/** What verify says of it: each fault with its file, or that it is no package. */
async function verdict(folder: string): Promise<string[]> {
  try {
    return (await verifyPackage(folder)).faults.map(({ path, fault }) => `${path} ${fault}`);
  } catch (error) {
    const { code, message } = error as { code: string; message: string };
    assert.equal(code, "KVMSEC_EVIDENCE_UNREADABLE", message);
    return [`manifest.json ${code}`];
  }
}

/** Who of a package has to be named where that file was changed. */
function mustName(said: readonly string[], path: string): void {
  const named = path === "manifest.sig.json" ? "manifest.json" : path;
  assert.ok(
    // Without the record of what was compressed, each compressed file is one too many.
    said.some(
      (fault) =>
        fault.startsWith(`${named} `) || (path === "storage.json" && fault.endsWith(".zst added")),
    ),
    `${path}: ${said.join(", ") || "nothing was said"}`,
  );
}

/** A change to a copy of each form of the package, and what has to be said then. */
async function onEach(
  change: (folder: string, files: readonly string[]) => readonly string[],
): Promise<void> {
  for (const { name, folder, files } of forms) {
    const copy = join(scratch, "copy");
    cpSync(folder, copy, { recursive: true });
    for (const path of change(copy, files)) mustName(await verdict(copy), `${path}`);
    rmSync(copy, { recursive: true, force: true });
    assert.deepEqual(await verdict(folder), [], name);
  }
}

const mostFiles = (): number => Math.max(...forms.map(({ files }) => files.length));

test("every form of it verifies, and has the files that it should", () => {
  const [plain, compressed] = forms;
  for (const path of Object.keys(contents)) assert.ok(plain?.files.includes(path), path);
  assert.ok(compressed?.files.includes("memory.elf.zst"));
  assert.ok(compressed?.files.includes("storage.json"));
});

test("a changed byte, anywhere in any file, is named", async () => {
  for (const { folder, files } of forms) {
    for (const path of files) {
      const good = readFileSync(join(folder, path));
      if (good.length === 0) continue;
      await fc.assert(
        fc.asyncProperty(
          fc.nat(good.length - 1),
          fc.integer({ min: 1, max: 255 }),
          async (at, change) => {
            const bad = Buffer.from(good);
            bad[at] = bad[at]! ^ change;
            writeFileSync(join(folder, path), bad);
            mustName(await verdict(folder), path);
          },
        ),
        // The ends, and whatever chance brings.
        {
          numRuns: 12,
          examples: [
            [0, 1],
            [good.length - 1, 128],
          ],
        },
      );
      writeFileSync(join(folder, path), good);
      assert.deepEqual(await verdict(folder), []);
    }
  }
});

test("a file that is longer, shorter or empty is named", async () => {
  for (const { folder, files } of forms) {
    for (const path of files) {
      const place = join(folder, path);
      const good = readFileSync(place);
      const changes = [Buffer.concat([good, Buffer.alloc(1)]), Buffer.concat([good, good])];
      if (good.length > 0) changes.push(good.subarray(0, -1), good.subarray(1), Buffer.alloc(0));
      for (const bad of changes.filter((one) => !one.equals(good))) {
        writeFileSync(place, bad);
        mustName(await verdict(folder), path);
      }
      // As long as before, and the end is a hole.
      if (good.length > 4096) {
        writeFileSync(place, good);
        truncateSync(place, good.length - 4096);
        truncateSync(place, good.length);
        mustName(await verdict(folder), path);
      }
      writeFileSync(place, good);
    }
    assert.deepEqual(await verdict(folder), []);
  }
});

test("a file that is gone, has another name or another's content is named, as is one that came", async () => {
  for (let index = 0; index < mostFiles(); index++) {
    await onEach((folder, files) => {
      const path = files[index];
      if (path === undefined) return [];
      rmSync(join(folder, path));
      return [path.replace(/^(?!storage)(.*)\.zst$/, "$1")];
    });
    await onEach((folder, files) => {
      const path = files[index];
      if (path === undefined) return [];
      renameSync(join(folder, path), join(folder, `${path}.old`));
      return /^(manifest|storage)/.test(path) ? [path] : [`${path}.old`];
    });
  }
  await onEach((folder, files) => {
    const [one, other] = ["findings.json", "views/ps.json"].map((path) =>
      files.find((file) => file.startsWith(path))!,
    );
    renameSync(join(folder, one!), join(folder, "aside"));
    renameSync(join(folder, other!), join(folder, one!));
    renameSync(join(folder, "aside"), join(folder, other!));
    return [one!, other!];
  });
  for (const name of ["more", ".hidden", "views/more.json", "new/deep/more", "manifest.json.bak"]) {
    await onEach((folder) => {
      mkdirSync(join(folder, name, ".."), { recursive: true });
      writeFileSync(join(folder, name), "");
      return [name];
    });
  }
});

test("what is no file any more is named, and nobody waits for it", async () => {
  const kinds: readonly ((place: string, twin: string) => void)[] = [
    // The same bytes, but they can be changed where nobody looks.
    (place, twin) => symlinkSync(twin, place),
    (place) => symlinkSync("/nowhere", place),
    (place) => mkdirSync(place),
    (place) => void execFileSync("mkfifo", [place]),
  ];
  for (const [number, kind] of kinds.entries()) {
    for (let index = 0; index < mostFiles(); index++) {
      await onEach((folder, files) => {
        const path = files[index];
        if (path === undefined) return [];
        const twin = join(scratch, `twin-${number}-${index}`);
        renameSync(join(folder, path), twin);
        kind(join(folder, path), twin);
        return [path];
      });
    }
  }
  await onEach((folder) => {
    const elsewhere = mkdtempSync(join(scratch, "elsewhere-"));
    renameSync(join(folder, "views"), elsewhere);
    symlinkSync(elsewhere, join(folder, "views"));
    return ["views"];
  });
});

test("a manifest that is none, or names no files, is refused and not believed", async () => {
  const home = openHome({ KVMSEC_HOME: join(scratch, "home") });
  const folder = join(scratch, "odd");
  mkdirSync(folder);
  await sealPackage(home, folder, "id", {});
  for (const text of ["", "null", "[]", '{"schema":"kvmsec.evidence/1"}']) {
    writeFileSync(join(folder, "manifest.json"), text);
    await assert.rejects(verifyPackage(folder), { code: "KVMSEC_EVIDENCE_UNREADABLE" });
  }
  for (const files of ["[null]", "[1]", '[{"path":7}]', '{"length":1}']) {
    const text = `{"schema":"kvmsec.evidence/1","files":${files}}`;
    writeFileSync(join(folder, "manifest.json"), text);
    await assert.rejects(verifyPackage(folder), { code: "KVMSEC_EVIDENCE_UNREADABLE" });
  }
});
