import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { listEvidence, removePackage } from "../../../src/daemon/evidence-index.ts";
import { holdPackage, readHolds, releasePackage } from "../../../src/evidence/holds.ts";
import { sealPackage } from "../../../src/evidence/manifest.ts";
import { planPrune } from "../../../src/evidence/retention.ts";
import { Store } from "../../../src/store/store.ts";
import { openHome } from "../../../src/vm/home.ts";
import { kvmsec, refusal } from "../../vm/command-line.ts";

const DAY = 86_400_000;
const NOW = new Date("2026-06-01");

const packages = fc.array(
  fc.record({
    folder: fc.string(),
    id: fc.uuid(),
    madeAt: fc.integer({ min: 0, max: 100 }).map((days) => new Date(+NOW - days * DAY)),
    bytes: fc.integer({ min: 0, max: 1000 }),
    held: fc.boolean(),
  }),
  { maxLength: 30 },
);
const retention = fc.record({
  maxAge: fc.option(
    fc.integer({ min: 1, max: 90 }).map((days) => days * DAY),
    { nil: undefined },
  ),
  maxBytes: fc.option(fc.integer({ min: 0, max: 5000 }), { nil: undefined }),
  keep: fc.integer({ min: 0, max: 5 }),
});

test("what is under hold never goes, nor the newest; what could go and is too much or too old does", () => {
  fc.assert(
    fc.property(packages, retention, (all, rule) => {
      const { remove, above } = planPrune(all, rule, NOW);
      const gone = new Set(remove.map((one) => one.package));
      const left = all.filter((one) => !gone.has(one));
      assert.ok(remove.every((one) => !one.package.held));
      assert.ok(left.length >= Math.min(rule.keep, all.length));
      const bytes = left.reduce((sum, one) => sum + one.bytes, 0);
      assert.equal(above, rule.maxBytes === undefined ? 0 : Math.max(0, bytes - rule.maxBytes));
      const byAge = all.toSorted((a, b) => +a.madeAt - +b.madeAt);
      const newest = new Set(byAge.slice(-rule.keep || all.length));
      for (const one of left) {
        const stays = one.held || newest.has(one);
        if (rule.maxAge !== undefined && +NOW - +one.madeAt > rule.maxAge) assert.ok(stays);
        if (above > 0) assert.ok(stays || one.bytes === 0);
      }
    }),
  );
});

async function homeWith(t: TestContext, count: number) {
  const root = mkdtempSync(join(tmpdir(), "kvmsec-retention-"));
  t.after(() => rmSync(root, { recursive: true }));
  const home = openHome({ KVMSEC_HOME: root });
  const folders: string[] = [];
  for (let n = 0; n < count; n++) {
    const folder = join(root, "evidence", `web-${n}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "memory.elf"), Buffer.alloc(100_000, n));
    await sealPackage(home, folder, randomUUID(), { target: "web", verdict: "tampered" });
    folders.push(folder);
  }
  return { home, folders };
}

test("a package under hold survives every prune, and goes once it is released", async (t) => {
  const { home, folders } = await homeWith(t, 3);
  const run = (...args: string[]) => kvmsec(home.root, "evidence", ...args);
  assert.equal(refusal(await run("prune")), "2 KVMSEC_RETENTION_MISSING");
  assert.equal(
    refusal(await run("hold", home.root, "--note", "x")),
    "3 KVMSEC_EVIDENCE_UNREADABLE",
  );
  assert.equal((await run("hold", folders[0]!, "--note", "case 7", "--by", "ops")).status, 0);
  const listed = JSON.parse((await run("list", "--json")).stdout) as {
    packages: { folder: string; hold: { by: string; note: string } | null; bytes: number }[];
  };
  assert.deepEqual(
    listed.packages.map(({ hold }) => hold?.note),
    ["case 7", undefined, undefined],
  );
  assert.ok(listed.packages.every(({ bytes }) => bytes >= 100_000));
  const all = ["prune", "--max-size", "1K", "--keep", "0"];
  assert.equal((await run(...all, "--dry-run")).status, 0);
  assert.deepEqual(
    folders.map((folder) => existsSync(folder)),
    [true, true, true],
  );
  const pruned = JSON.parse((await run(...all, "--json")).stdout) as { above: number };
  assert.ok(pruned.above > 0);
  assert.deepEqual(
    folders.map((folder) => existsSync(folder)),
    [true, false, false],
  );
  assert.equal((await run("release", folders[0]!, "--note", "closed")).status, 0);
  assert.equal(
    refusal(await run("release", folders[0]!, "--note", "x")),
    "2 KVMSEC_EVIDENCE_NOT_HELD",
  );
  assert.equal((await run(...all)).status, 0);
  assert.deepEqual(
    folders.map((folder) => existsSync(folder)),
    [false, false, false],
  );
  const kinds = (await kvmsec(home.root, "events", "--json")).stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => (JSON.parse(line) as { kind: string }).kind);
  const pruning = "evidence-pruned";
  assert.deepEqual(kinds, ["evidence-held", pruning, pruning, "evidence-released", pruning]);
});

test("a package that was put under hold after the plan was made stays; a damaged hold holds", async (t) => {
  const { home, folders } = await homeWith(t, 1);
  using store = Store.open(home);
  const [one] = listEvidence(home, store);
  assert.ok(one !== undefined);
  holdPackage(home, { id: one.id, by: "ops", note: "late", at: NOW.toISOString() });
  assert.equal(removePackage(home, one), false);
  writeFileSync(join(home.root, "holds", `${one.id}.json`), "{");
  assert.equal(readHolds(home).get(one.id)?.by, "?");
  assert.equal(removePackage(home, one), false);
  assert.equal(releasePackage(home, one.id), true);
  assert.equal(removePackage(home, one), true);
  assert.equal(existsSync(folders[0]!), false);
});

test("half a package and foreign folders are no packages, and stay", async (t) => {
  const { home } = await homeWith(t, 1);
  for (const name of ["web-9.partial-1", "notes", "broken"]) {
    mkdirSync(join(home.root, "evidence", name));
  }
  writeFileSync(
    join(home.root, "evidence", "broken", "manifest.json"),
    '{"schema":"kvmsec.evidence/1"',
  );
  using store = Store.open(home);
  assert.equal(listEvidence(home, store).length, 1);
});
