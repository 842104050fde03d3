import assert from "node:assert/strict";
import { test } from "node:test";
import { Reasons } from "../../src/base/reasons.ts";

test("each reason is kept once, in the order told, and no more than were asked for", () => {
  const reasons = new Reasons(3);
  assert.ok(!reasons.any);
  for (const reason of ["b", "a", "b", "c", "d", "a"]) reasons.add(reason);
  assert.ok(reasons.any);
  assert.deepEqual(reasons.all, ["b", "a", "c"]);
});
