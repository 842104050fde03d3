import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Recall } from "../../../src/daemon/recall.ts";
import { eventKinds, nextEvent } from "../../../src/events/event.ts";
import type { EventKind, GuardEvent } from "../../../src/events/event.ts";

function recallOf(
  ...told: readonly (readonly [EventKind, Readonly<Record<string, unknown>>])[]
): Recall {
  const recall = new Recall();
  let last: GuardEvent | undefined;
  for (const [kind, data] of told) {
    last = nextEvent(last, { kind, guest: "web", data: { run: "r", ...data } });
    recall.take(last);
  }
  return recall;
}

const finding = (id: string) => ({ id, check: "kernel-text" });
const decision = { rule: "mine", findings: ["a"], reactions: ["freeze", "capture"], held: [] };

test("findings, when they came and whether they are open are known from the log alone", () => {
  const { runs } = recallOf(
    ["guest-found", {}],
    ["finding", { event: "new", at: "2026-01-01T00:00:00.000Z", finding: finding("a") }],
    ["finding", { event: "resolved", at: "2026-01-01T00:01:00.000Z", finding: finding("a") }],
    ["finding", { event: "reopened", at: "2026-01-01T00:02:00.000Z", finding: finding("a") }],
    ["finding", { event: "new", at: "2026-01-01T00:03:00.000Z", finding: finding("b") }],
    ["finding", { event: "resolved", at: "2026-01-01T00:04:00.000Z", finding: finding("b") }],
    ["guest-found", { again: true }],
  );
  const run = runs.get("r");
  assert.equal(run?.guest, "web");
  assert.deepEqual(
    [...(run?.lives ?? [])].map(([id, { open }]) => [id, open]),
    [
      ["a", true],
      ["b", false],
    ],
  );
  assert.equal(run?.since.get("a")?.toISOString(), "2026-01-01T00:02:00.000Z");
});

test("a run whose end is on record is forgotten", () => {
  assert.equal(recallOf(["guest-found", {}], ["guest-ended", {}]).runs.size, 0);
});

test("what a decision still leaves to do is known, and where a capture was to go", () => {
  const { decisions } = recallOf(
    ["guest-found", {}],
    ["decision", decision],
    ["reaction", { decision: 2, reaction: "freeze", state: "begun" }],
    ["reaction", { decision: 2, reaction: "freeze", state: "done" }],
    ["reaction", { decision: 2, reaction: "capture", state: "begun", folder: "/e/1" }],
  );
  const [record] = decisions;
  assert.deepEqual([...(record?.settled ?? [])], ["freeze"]);
  assert.deepEqual([...(record?.done ?? [])], ["freeze"]);
  assert.equal(record?.folders.get("capture"), "/e/1");
  assert.deepEqual(record?.decision.reactions, ["freeze", "capture"]);
});

/** What events of some kind tell. */
const NAMES = "event at finding rule findings reactions held decision reaction state folder".split(
  " ",
);

test("an event that tells less than its kind does is passed over", () => {
  const kinds = fc.constantFrom(...eventKinds);
  const data = fc.dictionary(fc.constantFrom(...NAMES), fc.jsonValue());
  fc.assert(
    fc.property(fc.array(fc.tuple(kinds, data)), (told) => {
      const { runs, decisions } = recallOf(["guest-found", {}], ...told);
      for (const { lives } of runs.values()) {
        for (const [id, { finding }] of lives) assert.equal(finding.id, id);
      }
      for (const { decision } of decisions) assert.ok(Array.isArray(decision.reactions));
    }),
  );
});
