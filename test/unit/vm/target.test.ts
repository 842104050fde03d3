import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { findTarget } from "../../../src/vm/target.ts";
import { vmConfig } from "../../fixtures/vm-config.ts";
import { TemporaryFolder } from "../../fixtures/temporary.ts";

test("a name that a VM of this home has is nobody else's", () => {
  using folder = new TemporaryFolder();
  process.env["KVMSEC_HOME"] = folder.path;
  const place = join(folder.path, "vms", "web");
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, "vm.json"), JSON.stringify(vmConfig({ name: "web" })));
  assert.throws(() => findTarget("web"), {
    code: "KVMSEC_TARGET_UNKNOWN",
    message: "The VM web does not run.",
    hint: "kvmsec vm start web",
  });
  for (const other of ["../vms/web", "no-such-guest", "web/"]) {
    assert.throws(() => findTarget(other), {
      code: "KVMSEC_TARGET_UNKNOWN",
      message: /^No running/,
    });
  }
});
