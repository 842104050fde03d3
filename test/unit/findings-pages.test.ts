import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { checks } from "../../src/checks/registry.ts";

const folder = join(import.meta.dirname, "../../docs/findings");
const SECTIONS = ["What it means", "What to do", "Innocent causes", "Limits"];

test("each check has a page, and each page a check", () => {
  const pages = readdirSync(folder).filter((name) => name !== "README.md");
  assert.deepEqual(pages.toSorted(), checks.map(({ id }) => `${id}.md`).toSorted());
});

test("each page tells what a finding means, what to do, what is innocent and what is not seen", () => {
  for (const { id } of checks) {
    const page = readFileSync(join(folder, `${id}.md`), "utf8");
    assert.ok(page.startsWith(`# ${id}\n`), id);
    for (const section of SECTIONS)
      assert.ok(page.includes(`**${section}.**`), `${id}: ${section}`);
  }
});

test("ids are unique, and techniques are ATT&CK's", () => {
  assert.equal(new Set(checks.map(({ id }) => id)).size, checks.length);
  for (const { id, attack } of checks) {
    assert.match(id, /^[a-z]+(-[a-z]+)*$/);
    for (const technique of attack) assert.match(technique, /^T\d{4}(\.\d{3})?$/, id);
    assert.ok(attack.length > 0, id);
  }
});
