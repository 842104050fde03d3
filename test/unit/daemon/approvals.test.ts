import assert from "node:assert/strict";
import { test } from "node:test";
import { approvalOf, awaiting, dueReactions } from "../../../src/daemon/approvals.ts";
import { Recall } from "../../../src/daemon/recall.ts";
import type { RecordedDecision } from "../../../src/daemon/recall.ts";
import { nextEvent } from "../../../src/events/event.ts";
import type { EventKind, GuardEvent } from "../../../src/events/event.ts";

const DAY = 86_400_000;
const decision = {
  rule: "mine",
  findings: ["a"],
  reactions: ["freeze", "capture"],
  held: [
    { reaction: "repair", because: "approval" },
    { reaction: "restore", because: "approval" },
    { reaction: "shutdown", because: "limit" },
  ],
};

function recordOf(
  ...told: readonly (readonly [EventKind, Readonly<Record<string, unknown>>])[]
): RecordedDecision {
  const recall = new Recall();
  let last: GuardEvent | undefined;
  for (const [kind, data] of [["guest-found", {}], ["decision", decision], ...told] as const) {
    last = nextEvent(last, { kind, guest: "web", data: { run: "r", ...data } });
    recall.take(last);
  }
  return recall.decisions[0] ?? assert.fail();
}

const state = (record: RecordedDecision, later = 0) =>
  approvalOf(record, DAY, new Date(+record.decision.at + later));

test("what is held for approval waits, and nothing else of it", () => {
  const record = recordOf();
  assert.deepEqual(awaiting(record), ["repair", "restore"]);
  assert.equal(state(record), "pending");
  assert.deepEqual(dueReactions(record), ["freeze", "capture"]);
});

test("approved, it is due behind the decision's own reactions; denied, it never is", () => {
  const approved = recordOf(["decision-approved", { decision: 2, by: "ann" }]);
  assert.equal(state(approved, 2 * DAY), "approved");
  assert.deepEqual(dueReactions(approved), ["freeze", "capture", "repair", "restore"]);
  const denied = recordOf(["decision-denied", { decision: 2, by: "ann" }]);
  assert.equal(state(denied), "denied");
  assert.deepEqual(dueReactions(denied), ["freeze", "capture"]);
});

test("the first word counts", () => {
  const denied = recordOf(
    ["decision-denied", { decision: 2 }],
    ["decision-approved", { decision: 2 }],
  );
  assert.equal(state(denied), "denied");
  const expired = recordOf(
    ["approval-expired", { decision: 2 }],
    ["decision-approved", { decision: 2 }],
  );
  assert.deepEqual(dueReactions(expired), ["freeze", "capture"]);
});

test("what nobody approved in time is not done any more", () => {
  assert.equal(state(recordOf(), DAY - 1), "pending");
  assert.equal(state(recordOf(), DAY), "expired");
});

test("where an own reaction failed, nothing that a person approved follows", () => {
  const record = recordOf(
    ["reaction", { decision: 2, reaction: "capture", state: "failed" }],
    ["decision-approved", { decision: 2 }],
  );
  assert.equal(state(record), "void");
  assert.deepEqual(dueReactions(record), ["freeze", "capture"]);
});

test("a word about another decision, or none, changes nothing", () => {
  for (const number of [1, 3, "2", null]) {
    assert.equal(state(recordOf(["decision-approved", { decision: number }])), "pending");
  }
});
