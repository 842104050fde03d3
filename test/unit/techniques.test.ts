import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { checks } from "../../src/checks/registry.ts";

const root = resolve(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/guide/techniques.md"), "utf8");

/** What the short names of the page stand for. */
const SOURCES: Readonly<Record<string, readonly string[]>> = {
  modules: ["test/vm/harness/simulators.ts"],
  written: ["test/vm/harness/*-tamperings.ts"],
  processes: ["test/vm/harness/*-plants.ts", "test/vm/checks-processes.test.ts"],
};
/** Suites that run what is in the harness, each on a kernel of 6.1 and one of 6.12. */
const SUITES = [
  "simulators",
  "hooks",
  "processes",
  "user-processes",
  "kernel-memory",
  "code",
  "security",
  "file-cache",
].map((name) => `test/vm/checks-${name}.test.ts`);
/** What is told beside the sweep's own checks. */
const BESIDE: ReadonlySet<string> = new Set(["baseline"]);

type Row = {
  readonly technique: string;
  readonly checks: readonly string[];
  readonly shown: readonly { readonly source: string; readonly title: string }[];
  readonly attack: string;
};

const rows: readonly Row[] = page
  .split("\n")
  .map((line) => /^\| (.+) \| (.+) \| (.+) \| (.+) \|$/.exec(line))
  .filter((match) => match !== null && match[1] !== "technique")
  .map((match) => ({
    technique: match![1]!,
    checks: [...match![2]!.matchAll(/`([a-z-]+)`/g)].map(([, id]) => id),
    shown: match![3]!.split("; ").map((each) => {
      const [source = "", title = ""] = each.split(/: (.*)/s);
      return { source: source.replaceAll("`", ""), title };
    }),
    attack: match![4]!,
  }));

function textOf(source: string): string {
  const patterns = SOURCES[source] ?? [source];
  return patterns
    .flatMap((pattern) => globSync(pattern, { cwd: root }))
    .map((file) => readFileSync(join(root, file), "utf8"))
    .join("\n");
}

test("every check has a technique, and every technique a check that is there", () => {
  const ids = new Set(checks.map(({ id }) => id));
  const named = new Set(rows.flatMap((row) => row.checks));
  assert.deepEqual([...ids].filter((id) => !named.has(id)).toSorted(), []);
  assert.deepEqual([...named].filter((id) => !ids.has(id) && !BESIDE.has(id)).toSorted(), []);
  for (const { technique, checks: found, attack } of rows) {
    assert.ok(found.length > 0, technique);
    assert.match(attack, /^T\d{4}(\.\d{3})?(, T\d{4}(\.\d{3})?)*$/, technique);
  }
});

test("every technique is shown by simulators or tests that are there", () => {
  for (const { technique, shown } of rows) {
    for (const { source, title } of shown) {
      assert.ok(title !== "", technique);
      assert.ok(textOf(source).includes(title), `${technique}: ${source} has no “${title}”`);
    }
  }
});

test("the suites that run them boot a kernel of 6.1 and one of 6.12", () => {
  for (const suite of SUITES) {
    const text = readFileSync(join(root, suite), "utf8");
    assert.match(text, /release: "bookworm"/, suite);
    assert.match(text, /release: "(trixie|bookworm-backports)"/, suite);
  }
});
