import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { sharesOf } from "../../../src/checks/registry.ts";
import { decide, matches } from "../../../src/policy/decide.ts";
import type { Decision, PolicyFinding, Situation } from "../../../src/policy/decide.ts";
import {
  confidences,
  destructive,
  policySchema,
  reactions,
  severities,
} from "../../../src/policy/schema.ts";

const T0 = Date.parse("2026-01-01T00:00:00Z");
const at = (seconds: number): Date => new Date(T0 + seconds * 1000);
const critical: PolicyFinding = {
  id: "syscall-table-1",
  check: "syscall-table",
  severity: "critical",
  confidence: "high",
  since: new Date(T0),
};
const weak: PolicyFinding = {
  id: "shell-1",
  check: "shell-on-socket",
  severity: "high",
  confidence: "low",
  since: new Date(T0),
};

function situation(open: readonly PolicyFinding[], sweeps = 1, past: Decision[] = []): Situation {
  const sightings = open.flatMap(({ id }) =>
    Array.from({ length: sweeps }, (_, index) => ({ id, at: at(index) })),
  );
  return { guest: "web-1", run: "r1", open, sightings, past };
}

const done = (decisions: readonly Decision[]) => decisions.flatMap((one) => one.reactions);

test("the default profile alerts once and does nothing else", () => {
  const policy = policySchema.parse({});
  const first = decide(policy, situation([critical], 5), at(10));
  assert.deepEqual(done(first), ["alert"]);
  assert.deepEqual(decide(policy, situation([critical], 6, first), at(20)), []);
});

test("the strict profile waits for a second sweep, then freezes and captures, once", () => {
  const policy = policySchema.parse({ profile: "strict" });
  const first = decide(policy, situation([critical]), at(1));
  assert.deepEqual(done(first), ["alert"]);
  const second = decide(policy, situation([critical], 2, first), at(2));
  assert.deepEqual(done(second), ["freeze", "capture"]);
  const past = [...first, ...second];
  assert.deepEqual(decide(policy, situation([critical], 3, past), at(3)), []);
  // Another run of the same guest, restored and tampered with again, is a new case.
  const again = decide(policy, { ...situation([critical], 2, past), run: "r2" }, at(60));
  assert.deepEqual(done(again), ["alert", "freeze", "capture"]);
});

test("what was gone and came back is frozen again, and not captured twice in an hour", () => {
  const policy = policySchema.parse({ profile: "strict" });
  const past = decide(policy, situation([critical], 2), at(2));
  assert.deepEqual(done(past), ["alert", "freeze", "capture"]);
  const back = { ...critical, since: at(50) };
  const again = decide(policy, { ...situation([back], 2, past) }, at(51));
  assert.deepEqual(done(again), ["alert", "freeze"]);
  const later = decide(policy, { ...situation([{ ...back, since: at(4000) }], 0, past) }, at(4000));
  assert.deepEqual(done(later), ["alert"]);
});

test("two checks that agree need no second sweep; one weak signal does nothing", () => {
  const policy = policySchema.parse({ profile: "strict" });
  const other = { ...critical, id: "kernel-text-1", check: "kernel-text" };
  assert.deepEqual(done(decide(policy, situation([critical, other]), at(1))), [
    "alert",
    "freeze",
    "capture",
  ]);
  assert.deepEqual(done(decide(policy, situation([weak], 9), at(10))), ["alert"]);
  const twins = [critical, { ...critical, id: "syscall-table-2" }];
  assert.deepEqual(done(decide(policy, situation(twins), at(1))), ["alert"]);
});

function findingOf(check: string): PolicyFinding {
  return { ...critical, id: `${check}-1`, check, shares: sharesOf(check) };
}

test("checks that judge the same thing are one witness, also with a third between them", () => {
  const policy = policySchema.parse({ profile: "strict" });
  const told = (...names: string[]) => done(decide(policy, situation(names.map(findingOf)), at(1)));
  assert.deepEqual(told("kernel-rodata", "syscall-table"), ["alert"]);
  assert.deepEqual(told("kernel-rodata", "syscall-dispatch"), ["alert"]);
  assert.deepEqual(told("kernel-text", "syscall-dispatch", "kernel-rodata"), ["alert"]);
  assert.deepEqual(told("hidden-module", "kernel-pages"), ["alert"]);
  assert.deepEqual(told("kernel-text", "syscall-table"), ["alert", "freeze", "capture"]);
  assert.deepEqual(told("kernel-text", "ftrace"), ["alert", "freeze", "capture"]);
});

test("maintenance, limits and dry run hold back, and say why", () => {
  const rules = [{ name: "mine", do: ["freeze", "isolate", "capture"] }];
  const window = { guests: ["web-*"], from: at(0).toISOString(), until: at(60).toISOString() };
  const maintained = policySchema.parse({ rules, maintenance: [window] });
  const [held] = decide(maintained, situation([critical]), at(1));
  assert.deepEqual(held?.reactions, []);
  assert.deepEqual(
    held?.held.map(({ because }) => because),
    ["maintenance", "maintenance", "maintenance"],
  );
  assert.deepEqual(done(decide(maintained, situation([critical], 1, [held!]), at(30))), ["alert"]);
  const after = decide(maintained, situation([critical], 1, [held!]), at(60));
  assert.deepEqual(after[0]?.reactions, ["freeze", "isolate", "capture"]);
  const limited = policySchema.parse({ rules, limit: { actions: 2, within: "1h" } });
  const [some] = decide(limited, situation([critical]), at(1));
  assert.deepEqual(some?.reactions, ["freeze", "isolate"]);
  assert.deepEqual(some?.held, [{ reaction: "capture", because: "limit" }]);
  const dry = policySchema.parse({ rules, dryRun: true });
  assert.deepEqual(done(decide(dry, situation([critical]), at(1))), ["alert"]);
});

test("what destroys state waits for approval, unless the policy asks for none", () => {
  const rules = [{ name: "mine", do: ["capture", "restore"] }];
  const [asked] = decide(policySchema.parse({ rules }), situation([critical], 2), at(2));
  assert.deepEqual(asked?.held, [{ reaction: "restore", because: "approval" }]);
  const free = policySchema.parse({ rules, approval: [] });
  assert.deepEqual(decide(free, situation([critical], 2), at(2))[0]?.reactions, [
    "capture",
    "restore",
  ]);
});

test("repetition counts only what lies within its time", () => {
  const rules = [
    { name: "mine", when: { repeated: { times: 2, within: "30s" } }, do: ["isolate"] },
  ];
  const policy = policySchema.parse({ rules });
  const sightings = [0, 100].map((second) => ({ id: critical.id, at: at(second) }));
  const seldom = { ...situation([critical]), sightings };
  assert.deepEqual(done(decide(policy, seldom, at(100))), ["alert"]);
  const often = { ...seldom, sightings: [...sightings, { id: critical.id, at: at(110) }] };
  assert.deepEqual(done(decide(policy, often, at(110))), ["isolate", "alert"]);
});

const finding = fc.record({
  id: fc.constantFrom("a", "b", "c"),
  check: fc.constantFrom("x", "y"),
  severity: fc.constantFrom(...severities),
  confidence: fc.constantFrom(...confidences),
  since: fc.constant(at(0)),
});

test("whatever the rules, one weak signal destroys nothing and no reaction comes twice", () => {
  const rule = fc.record({
    name: fc.constantFrom("one", "two", "three"),
    do: fc.uniqueArray(fc.constantFrom(...reactions), { minLength: 1 }),
  });
  fc.assert(
    fc.property(fc.array(rule), finding, (rules, only) => {
      const policy = policySchema.parse({ rules, approval: [] });
      const first = decide(policy, situation([only]), at(1));
      assert.ok(done(first).every((reaction) => !destructive.has(reaction)));
      assert.equal(new Set(done(first)).size, done(first).length);
      assert.deepEqual(decide(policy, situation([only], 1, first), at(2)), []);
    }),
  );
});

test("a star stands for any characters, and only a star", () => {
  assert.ok(matches(["web-*"], "web-1"));
  assert.ok(matches(["*"], ""));
  assert.ok(matches(["a*b*c"], "aXbYc"));
  assert.ok(!matches(["ab*ba"], "aba"));
  assert.ok(!matches(["w.b"], "web"));
  assert.ok(!matches(["web"], "web-1"));
});

test("a weekly window holds back on its days, over midnight too", () => {
  const rules = [{ name: "cut", when: {}, do: ["isolate"] }];
  const window = { days: ["sat"], at: "22:00", for: "4h" };
  const policy = policySchema.parse({ rules, maintenance: [window] });
  const isHeld = (time: string): boolean => {
    const now = new Date(time);
    const sightings = [{ id: critical.id, at: now }];
    const open = [{ ...critical, since: now }];
    const situation = { guest: "web", run: "r", open, sightings, past: [] };
    const [made] = decide(policy, situation, now);
    return made?.held.some(({ because }) => because === "maintenance") === true;
  };
  // 2026-01-03 is a Saturday.
  const held: readonly (readonly [string, boolean])[] = [
    ["2026-01-03T21:59:59Z", false],
    ["2026-01-03T22:00:00Z", true],
    ["2026-01-04T01:59:59Z", true],
    ["2026-01-04T02:00:00Z", false],
    ["2026-01-04T22:30:00Z", false],
    ["2026-01-10T23:00:00Z", true],
  ];
  for (const [time, expected] of held) assert.equal(isHeld(time), expected, time);
});
