import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { YaraRules } from "../../../src/scan/yara.ts";

function rules(
  t: TestContext,
  text: string,
  more: Readonly<Record<string, string>> = {},
): YaraRules {
  const folder = mkdtempSync(join(tmpdir(), "kvmsec-rules-"));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, other] of Object.entries(more)) writeFileSync(join(folder, name), other);
  const path = join(folder, "test.yar");
  writeFileSync(path, text);
  return YaraRules.load(path);
}

const simple = 'rule found { strings: $a = "needle" $b = { DE AD ?? EF } condition: any of them }';

test("patterns are found at their places", (t) => {
  const bytes = Buffer.concat([
    Buffer.alloc(50),
    Buffer.from("needle"),
    Buffer.from("deadbeef", "hex"),
  ]);
  const [match] = rules(t, simple).scan(bytes);
  assert.equal(match?.ruleIdentifier, "found");
  assert.deepEqual(
    match.matches.map(({ identifier, offset, length }) => [identifier, offset, length]),
    [
      ["$a", 50, 6],
      ["$b", 56, 4],
    ],
  );
  assert.deepEqual(rules(t, simple).scan(Buffer.alloc(100)), []);
});

test("each mistake is told with its line", (t) => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['rule a {\n strings:\n  $a = "open\n condition: $a }', /test\.yar, line 3: .*unclosed/],
    ["rule a {\n condition:\n  $missing }", /test\.yar, line 3: .*unknown pattern/],
    ["rule a {\n\n\n condition: pe.is_pe }", /test\.yar, line 4: .*unknown identifier/],
    ["nonsense", /test\.yar, line 1/],
    ['include "absent.yar"', /test\.yar/],
  ];
  for (const [text, says] of wrong) {
    assert.throws(() => rules(t, text), { code: "KVMSEC_RULES_INVALID", exit: 2, message: says });
  }
});

test("rules of a file beside it can be included; a file that is not there is told", (t) => {
  const included = rules(t, 'include "more.yar"', { "more.yar": simple });
  assert.equal(included.scan(Buffer.from("a needle")).length, 1);
  assert.throws(() => YaraRules.load("/nonexistent.yar"), {
    code: "KVMSEC_RULES_UNREADABLE",
    exit: 2,
  });
});
