import assert from "node:assert/strict";
import { test } from "node:test";
import type { Check } from "../../../src/checks/check.ts";
import { CheckTurns } from "../../../src/daemon/check-turns.ts";

function check(id: string, costly = false): Check {
  const words = { proves: "", reads: "", attack: [], limits: "" };
  return { id, ...words, costly, run: () => {} };
}

const costs: Readonly<Record<string, number>> = { text: 40, pages: 8, idt: 1, bpf: 2, files: 3 };
const checks = [check("text"), check("pages"), check("idt"), check("bpf"), check("files", true)];
const turn = { must: [], budgetMs: 11, seldomMs: 60_000 };

function run(turns: CheckTurns, now: number, more: object = {}, besidesMs = 0): string[] {
  const ids = turns.choose(checks, now, { ...turn, ...more }).map(({ id }) => id);
  const results = ids.map((id) => ({ id, durationMs: costs[id]! }));
  const checksMs = results.reduce((sum, { durationMs }) => sum + durationMs, 0);
  turns.ran(results, now, checksMs + besidesMs);
  return ids;
}

test("at first all run; then the cheap ones each time, as far as the budget goes", () => {
  const turns = new CheckTurns();
  assert.deepEqual(run(turns, 0), ["text", "pages", "idt", "bpf", "files"]);
  assert.deepEqual(run(turns, 1000), ["pages", "idt", "bpf"]);
  assert.deepEqual(run(turns, 2000, { budgetMs: 3 }), ["idt", "bpf"]);
  assert.deepEqual(run(turns, 3000, { budgetMs: 100 }), ["text", "pages", "idt", "bpf"]);
});

test("each runs when its time is over, whatever it costs, and when its word is waited for", () => {
  const turns = new CheckTurns();
  run(turns, 0);
  assert.deepEqual(run(turns, 1000, { must: ["text"], budgetMs: 0 }), ["text"]);
  assert.deepEqual(run(turns, 60_500, { budgetMs: 0 }), ["pages", "idt", "bpf", "files"]);
  assert.deepEqual(run(turns, 61_000, { budgetMs: 0 }), ["text"]);
});

test("over a minute every check has run, and the looks in between keep to the budget", () => {
  const turns = new CheckTurns();
  const ran = new Map<string, number>();
  for (let now = 0; now <= 120_000; now += 1000) {
    const ids = run(turns, now);
    for (const id of ids) ran.set(id, (ran.get(id) ?? 0) + 1);
    const cost = ids.reduce((sum, id) => sum + costs[id]!, 0);
    if (now % 60_000 !== 0) assert.ok(cost <= turn.budgetMs, `${now}: ${cost}`);
  }
  assert.deepEqual([ran.get("text"), ran.get("files"), ran.get("idt")], [3, 3, 121]);
});

test("what a look takes beside its checks leaves them less, and never keeps one from its time", () => {
  const turns = new CheckTurns();
  const besides = 4;
  run(turns, 0, {}, besides);
  for (let now = 1000; now < 10_000; now += 1000) run(turns, now, {}, besides);
  assert.deepEqual(run(turns, 10_000, {}, besides), ["idt", "bpf"]);
  assert.deepEqual(run(turns, 11_000, { must: ["text"] }, 1000), ["text", "idt", "bpf"]);
  assert.deepEqual(run(turns, 12_000, {}, 1000), ["idt", "bpf"]);
  assert.deepEqual(run(turns, 70_500, {}, 1000), ["pages", "idt", "bpf", "files"]);
});
