import type { Finding } from "../checks/finding.ts";
import type { Sweep } from "../checks/sweep.ts";

/** What happened to a finding between two sweeps. That it persists is told once, by the second that sees it. */
export type FindingEvent = {
  readonly event: "new" | "persisting" | "resolved" | "reopened";
  readonly at: Date;
  readonly finding: Finding;
};

/** A finding that was open when it was last looked for, or is gone. */
export type Life = { finding: Finding; open: boolean; persists: boolean };

/** Follows findings from sweep to sweep, so that each is told once and its end is told too. */
export class FindingLives {
  readonly #lives = new Map<string, Life>();

  /** Begins with what an earlier guard knew. */
  constructor(known: Iterable<Life> = []) {
    for (const life of known) this.#lives.set(life.finding.id, { ...life });
  }

  /** Findings that the last sweeps left open. */
  get open(): Finding[] {
    return [...this.#lives.values()].filter(({ open }) => open).map(({ finding }) => finding);
  }

  /**
   * Takes one sweep in. A finding is resolved only by a look of its own check that saw everything:
   * what could not be looked at stays open.
   */
  update({ findings, checks, startedAt }: Sweep): FindingEvent[] {
    const events: FindingEvent[] = [];
    const seen = new Set<string>();
    for (const finding of findings) {
      seen.add(finding.id);
      const life = this.#lives.get(finding.id);
      if (life?.open !== true) {
        const event = life === undefined ? "new" : "reopened";
        events.push({ event, at: startedAt, finding });
      } else if (!life.persists) events.push({ event: "persisting", at: startedAt, finding });
      this.#lives.set(finding.id, { finding, open: true, persists: life?.open === true });
    }
    const whole = new Set(
      checks
        .filter(({ status, reason }) => (status === "pass" || status === "fail") && !reason)
        .map(({ id }) => id),
    );
    for (const [id, life] of this.#lives) {
      if (!life.open || seen.has(id) || !whole.has(life.finding.check)) continue;
      life.open = false;
      events.push({ event: "resolved", at: startedAt, finding: life.finding });
    }
    return events;
  }
}
