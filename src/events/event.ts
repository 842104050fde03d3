import { createHash } from "node:crypto";
import { z } from "zod";
import { documentKind, parseDocument } from "../base/document.ts";

/** What the guard tells. */
export const eventKinds = [
  "daemon-started",
  "daemon-stopped",
  "config-loaded",
  "config-rejected",
  "log-torn",
  "log-damaged",
  "log-cut",
  "guest-found",
  "guest-ended",
  "guest-state",
  "watching",
  "packets",
  "sweeps",
  "sweep-failed",
  "scanner-ended",
  "finding",
  "finding-acknowledged",
  "alert",
  "decision",
  "reaction",
  "decision-approved",
  "decision-denied",
  "approval-expired",
  "evidence-kept",
  "evidence-compressed",
  "evidence-held",
  "evidence-released",
  "evidence-pruned",
] as const;
export type EventKind = (typeof eventKinds)[number];

/** One line of the log. Each holds the hash of the one before, so that none can be changed or left out. */
export type GuardEvent = {
  readonly schema: "kvmsec.event/1";
  readonly sequence: number;
  readonly at: string;
  readonly kind: EventKind;
  /** The guest that it is about, as it is named in the configuration; null for the guard itself. */
  readonly guest: string | null;
  readonly data: Readonly<Record<string, unknown>>;
  /** Hash of the event before; 64 zeros in the first. */
  readonly previous: string;
  /** SHA-256 over all of the above as JSON. */
  readonly hash: string;
};

const eventDocument = documentKind("kvmsec.event/1", {
  sequence: z.int().positive(),
  at: z.string(),
  // A later kvmsec may have told of more; whoever does not know a kind passes over it.
  kind: z.string(),
  guest: z.string().nullable(),
  data: z.record(z.string(), z.unknown()),
  previous: z.string(),
  hash: z.string(),
});

export type EventContent = Pick<GuardEvent, "kind" | "guest" | "data">;

const FIRST = "0".repeat(64);

/** The event that follows the one given, or the first. */
export function nextEvent(before: GuardEvent | undefined, content: EventContent): GuardEvent {
  const { kind, guest, data } = content;
  const event = {
    schema: "kvmsec.event/1" as const,
    sequence: (before?.sequence ?? 0) + 1,
    at: new Date().toISOString(),
    kind,
    guest,
    data,
    previous: before?.hash ?? FIRST,
  };
  return { ...event, hash: hashOf(event) };
}

/** The event in a line, or why it does not follow from the one before. */
export function checkedEvent(line: string, before: GuardEvent | undefined): GuardEvent | string {
  const event = parse(line);
  if (event === undefined) return "it is no event";
  const { hash, ...content } = event;
  if (hash !== hashOf(content)) return "it was changed";
  if (event.previous !== (before?.hash ?? FIRST))
    return "the one before it was changed or left out";
  if (event.sequence !== (before?.sequence ?? 0) + 1) return "its number does not follow";
  return event;
}

/** The event in a line whose hash fits it; what came before is not asked. */
export function soundEvent(line: string): GuardEvent | undefined {
  const event = parse(line);
  if (event === undefined) return undefined;
  const { hash, ...content } = event;
  return hash === hashOf(content) ? event : undefined;
}

function hashOf(content: Omit<GuardEvent, "hash">): string {
  return createHash("sha256").update(JSON.stringify(content)).digest("hex");
}

function parse(line: string): GuardEvent | undefined {
  const event = parseDocument(line, eventDocument);
  return typeof event === "string" ? undefined : (event as GuardEvent);
}
