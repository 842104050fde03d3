import assert from "node:assert/strict";
import { Budget } from "../../../src/base/budget.ts";
import { KvmsecError } from "../../../src/base/errors.ts";
import { openKernel } from "../../../src/linux/discovery/open-kernel.ts";
import type { Kernel } from "../../../src/linux/kernel.ts";
import type { PhysicalMemory } from "../../../src/memory/physical-memory.ts";
import type { View } from "../../../src/views/view.ts";
import { HostileRam } from "../../fixtures/hostile-ram.ts";

/** Enough for every true guest of the tests, and a forged list stops here. */
const STEPS = 60_000;
/** What a view of so many steps can at most say. */
const MOST_ROWS = STEPS;

/**
 * Damages a copy of a guest's RAM again and again, each time in words that the views read, and
 * holds every view to: rows and JSON or a coded error, never more than its budget allows.
 */
export function viewsSurviveDamage(
  memory: PhysicalMemory,
  views: readonly View<unknown>[],
  rounds: number,
  seed: number,
): { readonly pages: number; readonly problems: number } {
  const ram = new HostileRam(memory);
  const kernel = openKernel(ram);
  kernel.budget = () => new Budget(STEPS, Number.POSITIVE_INFINITY, 0);
  const pages = ram.watch(() => views.forEach((view) => readThrough(view, kernel)));
  const healthy = views.map((view) => readThrough(view, kernel));
  let problems = 0;
  for (let round = 0; round < rounds; round++) {
    ram.damage(seed + round);
    for (const view of views) {
      try {
        problems += readThrough(view, kernel).problems;
      } catch (error) {
        if (error instanceof KvmsecError) continue;
        throw new Error(`${view.list}, seed ${seed + round}`, { cause: error });
      }
    }
    ram.heal();
  }
  assert.deepEqual(
    views.map((view) => readThrough(view, kernel)),
    healthy,
    "damage was not taken back, or was remembered",
  );
  return { pages, problems };
}

function readThrough(view: View<unknown>, kernel: Kernel): { rows: number; problems: number } {
  kernel.refresh();
  let [rows, problems] = [0, 0];
  for (const row of view.read(kernel, {}, () => problems++)) {
    JSON.stringify(view.json(row, kernel), bigintText);
    rows++;
  }
  assert.ok(rows <= MOST_ROWS, `${rows} rows`);
  return { rows, problems };
}

function bigintText(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}
