import { independentWitnesses } from "./independence.ts";
import { rulesOf } from "./profiles.ts";
import { confidences, destructive, severities, weekdays } from "./schema.ts";
import type { Policy, Reaction, Rule } from "./schema.ts";

/** What a policy needs to know of a finding. */
export type PolicyFinding = {
  readonly id: string;
  readonly check: string;
  /** See `independentWitnesses`. */
  readonly shares?: readonly string[];
  readonly severity: (typeof severities)[number];
  readonly confidence: (typeof confidences)[number];
  /** When it was found, or found again after it was gone: what was decided before counts no more. */
  readonly since: Date;
};

/** A sweep that saw a finding. */
export type Sighting = { readonly id: string; readonly at: Date };

export const heldBecause = ["approval", "maintenance", "limit", "weak-signal", "dry-run"] as const;

/** Why a reaction is held back. */
export type Held = {
  readonly reaction: Reaction;
  readonly because: (typeof heldBecause)[number];
};

/** What a rule decided about the findings of one guest. */
export type Decision = {
  readonly at: Date;
  readonly rule: string;
  readonly guest: string;
  /** One run of the guest's QEMU: what was done to an earlier one counts no more. */
  readonly run: string;
  /** Ids of the findings that met the rule. */
  readonly findings: readonly string[];
  /** To be carried out in this order; one that fails ends the list. */
  readonly reactions: readonly Reaction[];
  readonly held: readonly Held[];
};

/** All that a decision depends on beside the policy and the time. */
export type Situation = {
  readonly guest: string;
  readonly run: string;
  /** Findings that are open now. */
  readonly open: readonly PolicyFinding[];
  /** Which sweeps of this run saw them. */
  readonly sightings: readonly Sighting[];
  /** What was decided before, for any guest. */
  readonly past: readonly Decision[];
};

/**
 * What is to be done now: one decision for each rule that has something new to do. Pure. What was
 * decided for the same findings of the same run is not decided again. What cannot be taken back is
 * never done on one weak signal, whatever the rules say.
 */
export function decide(policy: Policy, situation: Situation, now: Date): Decision[] {
  const made: Decision[] = [];
  for (const rule of rulesOf(policy)) {
    const met = meeting(rule, situation, now);
    if (met.length === 0) continue;
    const past = [...situation.past, ...made];
    const decision = one(policy, rule, { ...situation, past }, met, now);
    if (decision !== undefined) made.push(decision);
  }
  return made;
}

/** The open findings that meet a rule; none where the rule as a whole does not hold. */
function meeting(rule: Rule, situation: Situation, now: Date): PolicyFinding[] {
  const { checks, severity, confidence, guests, repeated, agreement } = rule.when;
  if (guests !== undefined && !matches(guests, situation.guest)) return [];
  const met = situation.open.filter(
    (finding) =>
      (checks === undefined || matches(checks, finding.check)) &&
      (severity === undefined || rank(severities, finding.severity, severity)) &&
      (confidence === undefined || rank(confidences, finding.confidence, confidence)) &&
      (repeated === undefined ||
        seen(situation, finding.id, now, repeated.within) >= repeated.times),
  );
  return independentWitnesses(met) >= (agreement ?? 1) ? met : [];
}

function one(
  policy: Policy,
  rule: Rule,
  situation: Situation,
  met: readonly PolicyFinding[],
  now: Date,
): Decision | undefined {
  const { guest, run, past } = situation;
  const findings = met.map(({ id }) => id);
  const earlier = past.filter((decision) => decision.run === run);
  const left = rule.do.filter((reaction) => !isDone(policy, earlier, met, reaction, now));
  const go: Reaction[] = [];
  const held: Held[] = [];
  for (const reaction of left) {
    const because = obstacle(policy, situation, met, reaction, now, go);
    if (because === undefined) go.push(reaction);
    else if (!toldBefore(earlier, rule.name, met, { reaction, because })) {
      held.push({ reaction, because });
    }
  }
  if (go.length === 0 && held.length === 0) return undefined;
  return { at: now, rule: rule.name, guest, run, findings, reactions: go, held };
}

const mild: ReadonlySet<Reaction> = new Set(["observe", "alert"]);

/** At no cost, and no change where it is done twice. */
const cheap: ReadonlySet<Reaction> = new Set([...mild, "freeze", "isolate"]);

/** Once for the same findings; what is costly not before the cooldown for others of the run either. */
function isDone(
  { cooldown }: Policy,
  earlier: readonly Decision[],
  met: readonly PolicyFinding[],
  reaction: Reaction,
  now: Date,
): boolean {
  const same = earlier.filter(({ reactions }) => reactions.includes(reaction));
  if (!cheap.has(reaction) && same.some(({ at }) => +now - +at < cooldown)) return true;
  return cover(same, met);
}

/** Whether each of the findings was decided about since it was found. */
function cover(earlier: readonly Decision[], met: readonly PolicyFinding[]): boolean {
  return met.every(({ id, since }) =>
    earlier.some(({ findings, at }) => at >= since && findings.includes(id)),
  );
}

function obstacle(
  policy: Policy,
  situation: Situation,
  met: readonly PolicyFinding[],
  reaction: Reaction,
  now: Date,
  go: readonly Reaction[],
): Held["because"] | undefined {
  if (mild.has(reaction)) return undefined;
  if (policy.dryRun) return "dry-run";
  if (inMaintenance(policy, situation.guest, now)) return "maintenance";
  if (destructive.has(reaction) && !isStrong(situation, met, now)) return "weak-signal";
  if (policy.approval.includes(reaction)) return "approval";
  const acted = situation.past
    .filter(({ guest, at }) => guest === situation.guest && +now - +at < policy.limit.within)
    .flatMap(({ reactions }) => reactions);
  const count = [...acted, ...go].filter((other) => !mild.has(other)).length;
  return count >= policy.limit.actions ? "limit" : undefined;
}

const EVER = Number.POSITIVE_INFINITY;

/** Two independent checks agree, or one that is sure of itself said so in two sweeps. */
function isStrong(situation: Situation, met: readonly PolicyFinding[], now: Date): boolean {
  const sure = met.some(
    ({ id, confidence }) => confidence === "high" && seen(situation, id, now, EVER) >= 2,
  );
  return sure || independentWitnesses(met.filter(({ confidence }) => confidence !== "low")) >= 2;
}

function toldBefore(
  earlier: readonly Decision[],
  rule: string,
  met: readonly PolicyFinding[],
  { reaction, because }: Held,
): boolean {
  const told = earlier.filter(
    (decision) =>
      decision.rule === rule &&
      decision.held.some((held) => held.reaction === reaction && held.because === because),
  );
  return cover(told, met);
}

function inMaintenance({ maintenance }: Policy, guest: string, now: Date): boolean {
  return maintenance.some((window) => matches(window.guests, guest) && isIn(window, now));
}

const DAY_MS = 86_400_000;

/** A weekly window belongs to the day on which it begins, and may reach into the next. */
function isIn(window: Policy["maintenance"][number], now: Date): boolean {
  if ("from" in window) return Date.parse(window.from) <= +now && +now < Date.parse(window.until);
  const [hour = 0, minute = 0] = window.at.split(":").map(Number);
  return [0, 1].some((daysAgo) => {
    const day = new Date(+now - daysAgo * DAY_MS);
    const begin = new Date(day).setUTCHours(hour, minute, 0, 0);
    const named = window.days.includes(weekdays[day.getUTCDay()] ?? "sun");
    return named && begin <= +now && +now < begin + window.for;
  });
}

function seen({ sightings }: Situation, id: string, now: Date, within: number): number {
  return sightings.filter((one) => one.id === id && +now - +one.at <= within).length;
}

function rank<Grade extends string>(order: readonly Grade[], value: Grade, least: Grade): boolean {
  return order.indexOf(value) >= order.indexOf(least);
}

/** Whether a name is one of those that the patterns describe. */
export function matches(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => {
    const parts = pattern.split("*");
    return parts.length === 1 ? pattern === name : fits(parts, name);
  });
}

/** The parts between the stars, one behind the other, the first and the last at the ends. */
function fits(parts: readonly string[], name: string): boolean {
  const first = parts[0] ?? "";
  const last = parts.at(-1) ?? "";
  if (!name.startsWith(first)) return false;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return name.length - last.length >= at && name.endsWith(last);
}
