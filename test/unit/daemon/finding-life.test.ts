import assert from "node:assert/strict";
import { test } from "node:test";
import type { Finding } from "../../../src/checks/finding.ts";
import type { CheckStatus } from "../../../src/checks/check.ts";
import type { Sweep } from "../../../src/checks/sweep.ts";
import { FindingLives } from "../../../src/daemon/finding-life.ts";

function finding(id: string): Finding {
  const text = { check: "syscall-table", title: id, severity: "high", confidence: "high" } as const;
  return { id, ...text, attack: [], subject: {}, evidence: {} };
}

function look(ids: readonly string[], status: CheckStatus, reason?: string): Sweep {
  const coverage = { looked: 1, of: 1 };
  const check = { id: "syscall-table", status, findings: ids, durationMs: 1, coverage, reason };
  return {
    startedAt: new Date(0),
    durationMs: 1,
    checks: [check],
    findings: ids.map(finding),
    allowed: [],
  };
}

function told(lives: FindingLives, sweep: Sweep): string[] {
  return lives.update(sweep).map(({ event, finding: { id } }) => `${event} ${id}`);
}

test("a finding is told when it comes, when it goes, and when it comes back", () => {
  const lives = new FindingLives();
  assert.deepEqual(told(lives, look(["a"], "fail")), ["new a"]);
  assert.deepEqual(told(lives, look(["a"], "fail")), ["persisting a"]);
  assert.deepEqual(told(lives, look(["a", "b"], "fail")), ["new b"]);
  assert.deepEqual(told(lives, look(["b"], "fail")), ["persisting b", "resolved a"]);
  assert.deepEqual(told(lives, look([], "pass")), ["resolved b"]);
  assert.deepEqual(told(lives, look(["a"], "fail")), ["reopened a"]);
  assert.deepEqual(
    lives.open.map(({ id }) => id),
    ["a"],
  );
});

test("what could not be looked at stays open", () => {
  const lives = new FindingLives();
  told(lives, look(["a"], "fail"));
  assert.deepEqual(told(lives, look([], "skipped", "no kernel file")), []);
  assert.deepEqual(told(lives, look([], "error", "unreadable")), []);
  assert.deepEqual(told(lives, look([], "pass", "a part is unreadable")), []);
  assert.equal(lives.open.length, 1);
  assert.deepEqual(told(lives, look([], "pass")), ["resolved a"]);
});
