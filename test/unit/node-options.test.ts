import assert from "node:assert/strict";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { compileCache } from "../../bin/node-options.js";

let home = "";
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "kvmsec-node-options-"));
});
afterEach(() => rmSync(home, { recursive: true }));

test("compiled code is kept where only its user writes", () => {
  const folder = compileCache({ HOME: home });
  assert.equal(folder, join(home, ".cache/kvmsec/compiled"));
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  const named = join(home, "elsewhere");
  assert.equal(compileCache({ HOME: home, XDG_CACHE_HOME: named }), join(named, "kvmsec/compiled"));
  assert.equal(compileCache({ HOME: home, XDG_CACHE_HOME: "" }), folder, "an empty name is none");
});

test("no compiled code is taken from where others may write", () => {
  const kvmsec = join(home, ".cache/kvmsec");
  const folder = join(kvmsec, "compiled");
  mkdirSync(folder, { recursive: true });
  for (const loose of [folder, kvmsec]) {
    chmodSync(loose, 0o777);
    assert.equal(compileCache({ HOME: home }), undefined, loose);
    chmodSync(loose, 0o700);
  }
  assert.equal(compileCache({ HOME: home }), folder);
});

test("no compiled code is taken through a link, nor kept where there is no room for it", () => {
  mkdirSync(join(home, "prepared"), { mode: 0o700 });
  mkdirSync(join(home, ".cache/kvmsec"), { recursive: true, mode: 0o700 });
  symlinkSync(join(home, "prepared"), join(home, ".cache/kvmsec/compiled"));
  assert.equal(compileCache({ HOME: home }), undefined);
  writeFileSync(join(home, "file"), "");
  assert.equal(compileCache({ HOME: join(home, "file") }), undefined);
});
