import assert from "node:assert/strict";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { z } from "zod";
import { documentKind } from "../../../src/base/document.ts";
import {
  openHome,
  readDocument,
  writeAtomically,
  writeDocumentFile,
} from "../../../src/vm/home.ts";

const folder = mkdtempSync(join(tmpdir(), "kvmsec-home-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const mode = (path: string) => statSync(path).mode & 0o777;

test("a home is made for its owner alone, with all its rooms", () => {
  const home = openHome({ KVMSEC_HOME: join(folder, "new", "home") });
  for (const path of [home.root, home.images, home.vms, home.logs]) {
    assert.equal(mode(path), 0o700, path);
  }
});

test("a home that others may write to is refused", () => {
  const shared = join(folder, "shared");
  mkdirSync(shared);
  chmodSync(shared, 0o777);
  assert.throws(() => openHome({ KVMSEC_HOME: shared }), { code: "KVMSEC_HOME_UNSAFE" });
  chmodSync(shared, 0o755);
  openHome({ KVMSEC_HOME: shared });
});

test("a home that cannot be is told with a hint", () => {
  assert.throws(() => openHome({ KVMSEC_HOME: "relative/path" }), {
    code: "KVMSEC_HOME_UNUSABLE",
    exit: 2,
  });
  const file = join(folder, "file");
  writeFileSync(file, "");
  assert.throws(() => openHome({ KVMSEC_HOME: join(file, "home") }), {
    code: "KVMSEC_HOME_UNUSABLE",
  });
});

test("the default follows the user", () => {
  const root = process.geteuid?.() === 0;
  if (root) return;
  assert.equal(openHome({ HOME: folder }).root, join(folder, ".local/share/kvmsec"));
});

test("documents come back as they were written, others are refused", () => {
  const path = join(folder, "document.json");
  const kind = documentKind("kvmsec.test/1", { value: z.number() });
  assert.equal(readDocument(path, kind), undefined);
  writeDocumentFile(path, { schema: "kvmsec.test/1", value: 7 });
  assert.equal(mode(path), 0o600);
  assert.deepEqual(readDocument(path, kind), {
    schema: "kvmsec.test/1",
    value: 7,
  });
  for (const text of [
    "",
    "null",
    "[]",
    "{",
    '{"schema":"kvmsec.test/2"}',
    '{"schema":"kvmsec.test/1"}',
  ]) {
    writeAtomically(path, text);
    assert.throws(() => readDocument(path, kind), {
      code: "KVMSEC_STATE_DAMAGED",
    });
  }
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith(".new")),
    [],
  );
});
