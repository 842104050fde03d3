import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { Sweep } from "../../../src/checks/sweep.ts";

/** Nothing found, and nothing left out. */
export function assertClean({ findings, checks: results }: Sweep): void {
  assert.deepEqual(findings, []);
  assert.deepEqual(
    results.map(({ id, status, reason }) => ({ id, status, reason })),
    results.map(({ id }) => ({ id, status: "pass", reason: undefined })),
  );
  for (const { id, coverage } of results) assert.ok(coverage.looked > 0, id);
}

export type Planted = {
  readonly check: string;
  /** What the finding has to say. */
  readonly says: RegExp;
};

/** The check finds what was planted, with the same id at a second look. */
export function assertFound(t: TestContext, { check, says }: Planted, look: () => Sweep): void {
  const { findings } = look();
  const found = findings.filter((finding) => finding.check === check);
  t.diagnostic(found.map(({ title }) => title).join("; "));
  const right = found.filter((finding) => says.test(JSON.stringify(finding)));
  assert.ok(right.length > 0, JSON.stringify(findings));
  const again = new Set(look().findings.map(({ id }) => id));
  for (const { id } of right) assert.ok(again.has(id), "the same cause has the same id");
}

/** What was planted is found no more, and nothing else is. */
export function assertGone({ findings }: Sweep): void {
  assert.deepEqual(findings, []);
}
