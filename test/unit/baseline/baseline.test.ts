import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import fc from "fast-check";
import { BaselineStore } from "../../../src/baseline/baseline-store.ts";
import { diff } from "../../../src/baseline/diff.ts";
import { itemKinds } from "../../../src/baseline/observe.ts";
import type { Item, ItemKind } from "../../../src/baseline/observe.ts";

const item = fc.record({
  kind: fc.constantFrom<ItemKind>("module", "listener", "program", "helper", "unit"),
  key: fc.constantFrom("a", "b", "c", "d"),
  value: fc.constantFrom("", "1", "2"),
});
const items = fc.uniqueArray(item, { selector: ({ kind, key }) => `${kind} ${key}` });
const none = new Map<ItemKind, string>();

test("what differs is told, and nothing differs once it is accepted", (t) => {
  const home = homeOf(t);
  using store = new BaselineStore(home);
  fc.assert(
    fc.property(items, items, (known, seen) => {
      const createdAt = "2026-01-01T00:00:00.000Z";
      store.create({ name: "web", createdAt, by: "ops", note: "" }, known, true);
      const differences = diff(store.items("web"), { items: seen, gaps: none });
      for (const { change, before, after } of differences) {
        assert.equal(change === "new", before === undefined);
        assert.equal(change === "gone", after === undefined);
        assert.notEqual(before, after);
      }
      store.accept("web", differences, { by: "ops", note: "fine" });
      assert.deepEqual(diff(store.items("web"), { items: seen, gaps: none }), []);
      assert.equal(store.history("web").length, differences.length);
    }),
    { numRuns: 40 },
  );
});

test("of a kind that could not be seen whole nothing is said to be gone", () => {
  const known: Item[] = itemKinds.map((kind) => ({ kind, key: "x", value: "1" }));
  const gaps = new Map(itemKinds.map((kind) => [kind, "unreadable"]));
  assert.deepEqual(diff(known, { items: [], gaps }), []);
  assert.equal(diff(known.slice(1), { items: [], gaps: none }).length, known.length - 1);
});

/** What is seen of a guest whose kernel is of that version. */
function of(version: string): Item[] {
  return [
    { kind: "kernel", key: "build id", value: version },
    { kind: "text", key: "sha256", value: version },
    { kind: "module", key: "ext4", value: version },
    { kind: "helper", key: "modprobe_path", value: "/sbin/modprobe" },
  ];
}

test("of another kernel only that is told, not that its text and modules differ", () => {
  const differences = diff(of("1"), { items: of("2"), gaps: none });
  assert.deepEqual(
    differences.map(({ kind, change }) => [kind, change]),
    [["kernel", "changed"]],
  );
});

function homeOf(t: TestContext): { root: string } {
  const root = mkdtempSync(join(tmpdir(), "kvmsec-baseline-"));
  t.after(() => rmSync(root, { recursive: true }));
  return { root };
}

test("a baseline that is there is not replaced unasked; one that is not is an error", (t) => {
  using store = new BaselineStore(homeOf(t));
  const baseline = { name: "web", createdAt: "2026-01-01T00:00:00.000Z", by: "ops", note: "n" };
  store.create(baseline, [], false);
  assert.throws(() => store.create(baseline, [], false), {
    code: "KVMSEC_BASELINE_EXISTS",
    exit: 2,
  });
  assert.throws(() => store.items("db"), { code: "KVMSEC_BASELINE_MISSING", exit: 2 });
  assert.deepEqual(store.list(), [baseline]);
});

test("a damaged baseline is refused, never silently begun anew", (t) => {
  const home = homeOf(t);
  new BaselineStore(home)[Symbol.dispose]();
  writeFileSync(join(home.root, "baseline", "baseline.sqlite"), "no database".repeat(100));
  assert.throws(() => new BaselineStore(home), { code: "KVMSEC_STORE_DAMAGED" });
});
