import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { test } from "node:test";

const root = resolve(import.meta.dirname, "../..");
const specification = readFileSync(join(root, "docs/SPECIFICATION.md"), "utf8");

type Held = { readonly promise: string; readonly tests: readonly TestName[] };
type TestName = { readonly file: string; readonly titles: readonly string[] };

/** Rows of the tables: a promise, and the tests that hold it. */
function promises(text: string): Held[] {
  return text
    .split("\n")
    .map((line) => /^\| (.*) \| (.*) \|$/.exec(line))
    .filter((row) => row !== null && row[1] !== "promise")
    .map((row) => ({ promise: row![1]!, tests: testNames(row![2]!) }));
}

/** `` `file` › words of a title; › words of another; `file` `` */
function testNames(cell: string): TestName[] {
  return cell
    .split(/(?=`test\/)/)
    .map((part) => /^`(test\/[^`]+\.test\.ts)`(.*)$/s.exec(part.trim()))
    .filter((part) => part !== null)
    .map((part) => ({
      file: part![1]!,
      titles: part![2]!
        .split("›")
        .slice(1)
        .map((title) => title.replace(/;\s*$/, "").trim()),
    }));
}

/** The titles of a file's tests; template titles count with what is fixed in them. */
function titlesOf(text: string): string[] {
  const pattern = /\b(?:test|it|describe|suite|\w+\.test)\(\s*(["'`])((?:(?!\1).|\n)*)\1/g;
  return [...text.matchAll(pattern)].map((match) => match[2]!);
}

test("every promise names a test that exists, and each title that it names is one of that file", () => {
  const held = promises(specification);
  assert.ok(held.length > 0);
  for (const { promise, tests } of held) {
    assert.notEqual(tests.length, 0, `no test holds: ${promise}`);
    for (const { file, titles } of tests) {
      assert.ok(existsSync(join(root, file)), `${file} is not there: ${promise}`);
      const there = titlesOf(readFileSync(join(root, file), "utf8"));
      assert.notEqual(there.length, 0, `${file} has no test`);
      for (const title of titles) {
        assert.ok(
          there.some((name) => name.includes(title)),
          `${file} has no test “${title}”`,
        );
      }
    }
  }
});

test("a promise with a missing test is caught", () => {
  const planted =
    "| promise | held by |\n|---|---|\n| a | `test/unit/a.test.ts` › b; › c; `test/vm/d.test.ts` |\n| e | nothing |";
  assert.deepEqual(promises(planted), [
    {
      promise: "a",
      tests: [
        { file: "test/unit/a.test.ts", titles: ["b", "c"] },
        { file: "test/vm/d.test.ts", titles: [] },
      ],
    },
    { promise: "e", tests: [] },
  ]);
});

function documents(): string[] {
  const inDocs = readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`);
  return [...readdirSync(root).filter((name) => name.endsWith(".md")), ...inDocs];
}

test("links between documents lead to files that exist", () => {
  for (const document of documents()) {
    const text = readFileSync(join(root, document), "utf8");
    for (const [, link] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^(https?:|mailto:|#)/.test(link!)) continue;
      const target = resolve(root, dirname(document), link!.replace(/#.*$/, ""));
      assert.ok(existsSync(target), `${document}: ${relative(root, target)} is not there`);
    }
  }
});

test("docs/design.md draws every room of src/", () => {
  const design = readFileSync(join(root, "docs/design.md"), "utf8");
  for (const entry of readdirSync(join(root, "src"), { withFileTypes: true })) {
    if (entry.isDirectory()) assert.match(design, new RegExp(`^\\| \`${entry.name}\` \\|`, "m"));
  }
});
