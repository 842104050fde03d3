import assert from "node:assert/strict";
import type { Sweep } from "../../../src/checks/sweep.ts";

/** Of false findings: one cause may have thousands. */
const TOLD = 20;

/**
 * What many sweeps of clean guests said. A long run goes on after a false finding, so that it tells
 * all of them, and fails at its end.
 */
export class SilenceLog {
  sweeps = 0;
  /** Check and title → where it was first found, and how often. */
  readonly #false = new Map<string, { first: string; times: number }>();
  /** Check and reason → where a check first did not see everything, or anything, and how often. */
  readonly #partly = new Map<string, { first: string; times: number }>();

  add({ findings, checks }: Sweep, where: string): void {
    this.sweeps++;
    for (const { check, title, evidence } of findings) {
      const key = `${check}: ${title}`;
      const known = this.#false.get(key);
      if (known === undefined) {
        const first = `${where}: ${JSON.stringify(evidence).slice(0, 600)}`;
        this.#false.set(key, { first, times: 1 });
      } else known.times++;
    }
    for (const { id, status, reason } of checks) {
      if (status !== "error" && status !== "skipped") continue;
      const key = `${id} ${status === "skipped" ? "left out" : "in part"}: ${(reason ?? "").replaceAll(/0x[0-9a-f]+|\d+/g, "N")}`;
      const known = this.#partly.get(key);
      if (known === undefined) this.#partly.set(key, { first: where, times: 1 });
      else known.times++;
    }
  }

  /** Checks that saw a part only or nothing, most frequent first. */
  get partly(): string {
    const rows = [...this.#partly].toSorted(([, a], [, b]) => b.times - a.times);
    return rows.map(([what, { first, times }]) => `${times} × ${what} (${first})`).join("; ");
  }

  get falseFindings(): number {
    return this.#false.size;
  }

  assertSilent(): void {
    const told = [...this.#false]
      .slice(0, TOLD)
      .map(([what, { first, times }]) => `${what} (${times} times, first in ${first})`);
    assert.equal(this.#false.size, 0, `${this.#false.size} false findings:\n${told.join("\n")}`);
  }
}
