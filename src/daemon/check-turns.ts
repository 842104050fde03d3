import type { Check } from "../checks/check.ts";
import type { CheckResult } from "../checks/look.ts";

export type Turn = {
  /** Ids of checks whose word is waited for. */
  readonly must: readonly string[];
  /** What one look may cost, in milliseconds of a processor. */
  readonly budgetMs: number;
  /** After so long each check is due, whatever it costs. */
  readonly seldomMs: number;
};

type Known = { readonly at: number; readonly costMs: number };

/** A cost is half what it was, half what it is now: one slow look says little. */
const WEIGHT = 0.5;

/**
 * Which checks run in a look: the cheap ones each time, as far as the budget goes; the costly ones
 * seldom, each when its own time is over. A check that never ran is due at once, and so is one that
 * has something to confirm.
 */
export class CheckTurns {
  readonly #known = new Map<string, Known>();
  /** What a look takes beside its checks: registers asked for, memory read anew, garbage collected. */
  #besidesMs = 0;

  /** Those that are due, in the order of the registry. */
  choose(checks: readonly Check[], now: number, { must, budgetMs, seldomMs }: Turn): Check[] {
    const due = new Set<Check>();
    for (const check of checks) {
      const known = this.#known.get(check.id);
      const overdue = known === undefined || now - known.at >= seldomMs || must.includes(check.id);
      if (overdue) due.add(check);
    }
    // What a costly one takes when its time has come is paid by the wait behind the look.
    // A dear look in between keeps no cheap check from the next ones.
    let left = budgetMs - Math.min(this.#besidesMs, budgetMs / 2);
    const cost = (check: Check): number => this.#known.get(check.id)?.costMs ?? 0;
    for (const check of checks.toSorted((a, b) => cost(a) - cost(b))) {
      if (due.has(check) || check.costly === true || cost(check) > left) continue;
      due.add(check);
      left -= cost(check);
    }
    return checks.filter((check) => due.has(check));
  }

  /** Remembers when each ran and what it took; `cpuMs` is what the whole look took of a processor. */
  ran(
    results: readonly Pick<CheckResult, "id" | "durationMs">[],
    now: number,
    cpuMs: number,
  ): void {
    let besides = cpuMs;
    for (const { id, durationMs } of results) {
      const before = this.#known.get(id)?.costMs ?? durationMs;
      this.#known.set(id, { at: now, costMs: nearer(before, durationMs) });
      besides -= durationMs;
    }
    this.#besidesMs = nearer(this.#besidesMs, Math.max(besides, 0));
  }
}

function nearer(before: number, now: number): number {
  return before + WEIGHT * (now - before);
}
