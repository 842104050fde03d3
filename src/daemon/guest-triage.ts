import { sharesOf } from "../checks/registry.ts";
import type { Finding } from "../checks/finding.ts";
import type { Sweep } from "../checks/sweep.ts";
import { decide } from "../policy/decide.ts";
import type { Sighting } from "../policy/decide.ts";
import { FindingLives } from "./finding-life.ts";
import type { GuardContext } from "./guard-context.ts";
import type { GuardedGuest } from "./guarded-guest.ts";
import type { RecordedDecision } from "./recall.ts";

/** Sightings of one finding that are kept. */
const KEPT_SIGHTINGS = 1000;

/** What was found in one run of a guest, by now and before this guard began, and what is decided about it. */
export class GuestTriage {
  readonly #context: GuardContext;
  readonly #guest: GuardedGuest;
  readonly #lives: FindingLives;
  readonly #since: Map<string, Date>;
  #sightings: Sighting[] = [];

  constructor(context: GuardContext, guest: GuardedGuest) {
    this.#context = context;
    this.#guest = guest;
    const known = context.recall.runs.get(guest.run);
    this.#lives = new FindingLives(known?.lives.values());
    this.#since = new Map(known?.since);
  }

  get open(): readonly Finding[] {
    return this.#lives.open;
  }

  /** Open findings that only one sweep saw. */
  get unsure(): readonly Finding[] {
    const seen = (id: string): number => this.#sightings.filter((one) => one.id === id).length;
    return this.#lives.open.filter(({ id }) => seen(id) === 1);
  }

  /** Puts on record what a sweep changed. */
  take(sweep: Sweep): void {
    for (const { event, at, finding } of this.#lives.update(sweep)) {
      if (event === "new" || event === "reopened") this.#since.set(finding.id, at);
      this.#context.tell("finding", this.#guest, { run: this.#guest.run, event, at, finding });
    }
    const at = sweep.startedAt;
    this.#sightings.push(...sweep.findings.map(({ id }) => ({ id, at })));
    this.#sightings = this.#sightings.slice(-KEPT_SIGHTINGS);
  }

  /** What the policy decides about it now, each decision on record before it is handed out. */
  *decide(): Generator<RecordedDecision> {
    const { config, recall } = this.#context;
    const { name, run } = this.#guest;
    const now = new Date();
    const seen = recall.runs.get(run)?.acknowledged;
    const open = this.#lives.open
      .filter(({ id }) => seen?.has(id) !== true)
      .map((finding) => ({
        ...finding,
        shares: sharesOf(finding.check),
        since: this.#since.get(finding.id) ?? now,
      }));
    const past = recall.decisions.map(({ decision }) => decision);
    const facts = { guest: name, run, open, sightings: this.#sightings, past };
    for (const { at: _, guest: __, ...decision } of decide(config, facts, now)) {
      this.#context.tell("decision", this.#guest, decision);
      const record = recall.decisions.at(-1);
      if (record?.decision.run === run) yield record;
    }
  }
}
