import { z } from "zod";
import { documentKind } from "../base/document.ts";
import type { DocumentKind } from "../base/document.ts";

/** What an entry of a timeline is about. */
export const timelineKinds = [
  "boot",
  "process",
  "kernel-log",
  "guest",
  "finding",
  "decision",
  "reaction",
  "job",
  "alert",
  "packets",
  "capture",
] as const;
export type TimelineKind = (typeof timelineKinds)[number];

/** Something that happened, and who says so. */
export type TimelineEntry = {
  /** By the host's clock, ISO 8601 in UTC. */
  readonly at: string;
  /** By the guest's own clock, where it comes from the guest. */
  readonly guestTime?: string;
  readonly kind: TimelineKind;
  /** What it was read from: a file of the package, or a numbered line of a log of the host's. */
  readonly source: string;
  readonly text: string;
};

/** How the guest's clock and the host's go together. */
export type TimelineClock = {
  /** When the guest booted, by its own clock. */
  readonly bootTime: string | null;
  /** How far it was ahead of the host's when it was captured; null where that cannot be told. */
  readonly guestAheadMs: number | null;
  /** What was taken from the guest's times: small differences are the age of what its kernel wrote down. */
  readonly correctedMs: number;
};

/** timeline.json of a package. */
export type Timeline = {
  readonly schema: "kvmsec.timeline/1";
  readonly clock: TimelineClock;
  readonly entries: readonly TimelineEntry[];
  /** What is missing, and why. */
  readonly incomplete?: readonly string[];
};

export const timelineKind: DocumentKind<Timeline> = documentKind("kvmsec.timeline/1", {
  clock: z.object({
    bootTime: z.string().nullable(),
    guestAheadMs: z.number().nullable(),
    correctedMs: z.number(),
  }),
  entries: z.array(
    z.object({
      at: z.string(),
      guestTime: z.string().exactOptional(),
      kind: z.enum(timelineKinds),
      source: z.string(),
      text: z.string(),
    }),
  ),
  incomplete: z.array(z.string()).exactOptional(),
});

/** So many of one kind are kept, the newest. */
const MAX_OF_A_KIND = 20_000;
/**
 * A guest's kernel writes its clock down when it ticks, and one that sleeps does not tick. Nobody
 * who sets a clock to deceive is content with less.
 */
const NO_DIFFERENCE_MS = 30_000;

/** What is known of the guest's clock in the moment in which it stood still for its capture. */
export function clockOf(
  bootMs: number,
  guestNowMs: number,
  hostNowMs: number | undefined,
): TimelineClock {
  const ahead = hostNowMs === undefined ? Number.NaN : guestNowMs - hostNowMs;
  const known = Number.isFinite(ahead);
  return {
    bootTime: isoTime(bootMs) ?? null,
    guestAheadMs: known ? Math.round(ahead) : null,
    correctedMs: known && Math.abs(ahead) > NO_DIFFERENCE_MS ? Math.round(ahead) : 0,
  };
}

/** An entry by the guest's clock, none where the time is none. */
export function guestEntry(
  clock: TimelineClock,
  guestTime: unknown,
  entry: Pick<TimelineEntry, "kind" | "source" | "text">,
): TimelineEntry[] {
  const time = typeof guestTime === "string" ? Date.parse(guestTime) : Number.NaN;
  const [own, at] = [isoTime(time), isoTime(time - clock.correctedMs)];
  return own === undefined || at === undefined ? [] : [{ at, guestTime: own, ...entry }];
}

/** ISO 8601, or undefined for what no Date holds. */
export function isoTime(ms: number): string | undefined {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : undefined;
}

/** Puts entries into the order of their time; those of one time stay in the order in which they came. */
export function makeTimeline(
  clock: TimelineClock,
  entries: readonly TimelineEntry[],
  problems: readonly string[],
): Timeline {
  const incomplete = [...problems];
  const kept: TimelineEntry[] = [];
  for (const kind of timelineKinds) {
    const all = entries
      .filter((entry) => entry.kind === kind)
      .toSorted((a, b) => Date.parse(a.at) - Date.parse(b.at));
    const more = all.length - MAX_OF_A_KIND;
    if (more > 0) incomplete.push(`the oldest ${more} entries of the kind ${kind} were left out`);
    kept.push(...all.slice(-MAX_OF_A_KIND));
  }
  kept.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  const gaps = incomplete.length === 0 ? {} : { incomplete };
  return { schema: "kvmsec.timeline/1", clock, entries: kept, ...gaps };
}
