import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  clockOf,
  guestEntry,
  makeTimeline,
  timelineKinds,
} from "../../../src/evidence/timeline.ts";

const BOOT = Date.parse("2026-01-01T00:00:00Z");
const NOW = Date.parse("2026-01-01T01:00:00Z");
const log = { kind: "kernel-log", source: "views/dmesg.json", text: "x" } as const;

test("a guest's times are taken as they are where its clock goes with the host's", () => {
  const clock = clockOf(BOOT, NOW - 2000, NOW);
  assert.deepEqual([clock.guestAheadMs, clock.correctedMs], [-2000, 0]);
  const [entry] = guestEntry(clock, "2026-01-01T00:00:05.000Z", log);
  assert.deepEqual([entry?.at, entry?.guestTime], Array(2).fill("2026-01-01T00:00:05.000Z"));
});

test("they are put right where its clock was set wrong, and what the guest said is told too", () => {
  const wrong = 3_600_000 * 24 * 365;
  const clock = clockOf(BOOT - wrong, NOW - wrong, NOW);
  assert.equal(clock.correctedMs, -wrong);
  const [entry] = guestEntry(clock, "2025-01-01T00:00:05.000Z", log);
  assert.equal(entry?.at, "2026-01-01T00:00:05.000Z");
  assert.equal(entry?.guestTime, "2025-01-01T00:00:05.000Z");
});

test("what is no time makes no entry, and an unknown clock corrects nothing", () => {
  assert.deepEqual(clockOf(Number.NaN, Number.NaN, NOW), {
    bootTime: null,
    guestAheadMs: null,
    correctedMs: 0,
  });
  assert.equal(clockOf(BOOT, NOW, undefined).guestAheadMs, null);
  const far = clockOf(1e300, 1e300, NOW);
  assert.equal(far.bootTime, null);
  for (const time of [null, undefined, 7, "soon", "+275760-09-13T00:00:00.001Z"]) {
    assert.deepEqual(guestEntry(far, time, log), []);
  }
});

test("entries are in the order of time, whatever it was in which they came; too many are told", () => {
  const entry = fc.record({
    at: fc
      .date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) })
      .map((date) => date.toISOString()),
    kind: fc.constantFrom(...timelineKinds),
    source: fc.constant("s"),
    text: fc.string(),
  });
  const clock = clockOf(BOOT, NOW, NOW);
  fc.assert(
    fc.property(fc.array(entry), (entries) => {
      const { entries: sorted, incomplete } = makeTimeline(clock, entries, []);
      assert.equal(incomplete, undefined);
      assert.deepEqual(new Set(sorted), new Set(entries));
      const times = sorted.map(({ at }) => at);
      assert.deepEqual(times, times.toSorted());
    }),
  );
  const many = Array.from({ length: 20_005 }, (_, n) => ({
    ...log,
    at: new Date(n).toISOString(),
  }));
  const cut = makeTimeline(clock, many.toReversed(), ["before"]);
  assert.equal(cut.entries.length, 20_000);
  assert.equal(cut.entries[0]?.at, new Date(5).toISOString());
  assert.deepEqual(cut.incomplete?.[0], "before");
  assert.match(cut.incomplete?.[1] ?? "", /^the oldest 5 entries/);
});
