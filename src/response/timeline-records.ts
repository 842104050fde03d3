import { KvmsecError } from "../base/errors.ts";
import { isoTime } from "../evidence/timeline.ts";
import type { TimelineEntry, TimelineKind } from "../evidence/timeline.ts";
import type { EventKind, GuardEvent } from "../events/event.ts";
import { eventLogPath } from "../events/event-log.ts";
import { readLogTail } from "../events/log-tail.ts";
import type { Home } from "../vm/home.ts";
import { runName } from "../vm/process-identity.ts";
import type { ProcessIdentity } from "../vm/process-identity.ts";
import { Journal } from "./journal.ts";
import type { JournalEntry } from "./journal-entry.ts";

/** A capture must not wait for a log of gigabytes. */
const MAX_LOG = 16 * 2 ** 20;
const MAX_TEXT = 500;

/** What the host's own records say of a run of a guest. */
export type RecordedPast = {
  readonly entries: readonly TimelineEntry[];
  readonly problems: readonly string[];
  /** Since when the guest stands still by somebody's order, if it does. */
  readonly frozenSince: number | undefined;
};

/** Reads the journal of actions and the guard's event log for all that concerns that very QEMU. */
export function recordedPast(home: Home, identity: ProcessIdentity): RecordedPast {
  const problems: string[] = [];
  const journal = jobsOf(home, identity, problems);
  const events = eventsOf(home, identity, problems);
  const entries = [...journal.flatMap(jobEntry), ...events.flatMap(eventEntry)];
  return { entries, problems, frozenSince: frozenSince(journal) };
}

type JobLine = { readonly entry: JournalEntry; readonly action: string };

function jobsOf(home: Home, identity: ProcessIdentity, problems: string[]): JobLine[] {
  const actions = new Map<string, string>();
  const lines: JobLine[] = [];
  for (const entry of journalOf(home, problems)) {
    const { kind, job, data } = entry;
    if (kind === "begin") {
      if (runName(data.target.identity) === runName(identity)) actions.set(job, data.action);
    }
    const action = actions.get(job);
    if (action !== undefined && kind !== "torn") lines.push({ entry, action });
  }
  return lines;
}

function journalOf(home: Home, problems: string[]): readonly JournalEntry[] {
  try {
    return new Journal(home).read();
  } catch (error) {
    if (!(error instanceof KvmsecError)) throw error;
    problems.push(`the journal of actions: ${error.message}`);
    return [];
  }
}

function jobEntry({ entry, action }: JobLine): TimelineEntry {
  const { at, sequence } = entry;
  const source = `journal/actions.jsonl ${sequence}`;
  return { at, kind: "job", source, text: `${action}${saidOf(entry)}` };
}

function saidOf({ kind, data }: JournalEntry): string {
  if (kind === "step") return `: ${data.name}`;
  return kind === "end" ? ` ends: ${data.result}` : " begins";
}

/** When the last freeze that nobody took back was over. */
function frozenSince(lines: readonly JobLine[]): number | undefined {
  const last = lines.findLast(
    ({ entry, action }) => entry.kind === "end" && (action === "freeze" || action === "resume"),
  );
  return last?.action === "freeze" ? Date.parse(last.entry.at) : undefined;
}

function eventsOf(home: Home, identity: ProcessIdentity, problems: string[]): GuardEvent[] {
  const run = runName(identity);
  const { events, whole } = readLogTail(eventLogPath(home.root), MAX_LOG);
  const first = events.findIndex((event) => event.data["run"] === run);
  if (first < 0) return [];
  if (!whole && events[first].kind !== "guest-found") {
    problems.push(`of the event log only the last ${MAX_LOG / 2 ** 20} MiB were read`);
  }
  // What names no run is about the one that was there then.
  const { guest } = events[first];
  return events
    .slice(first)
    .filter(({ data, guest: whose }) => (data["run"] ?? run) === run && whose === guest);
}

const kinds: Partial<Record<EventKind, TimelineKind>> = {
  finding: "finding",
  "finding-acknowledged": "finding",
  decision: "decision",
  "decision-approved": "decision",
  "decision-denied": "decision",
  "approval-expired": "decision",
  reaction: "reaction",
  alert: "alert",
  packets: "packets",
  "guest-found": "guest",
  "guest-state": "guest",
  "guest-ended": "guest",
  "scanner-ended": "guest",
  "sweep-failed": "guest",
};

function eventEntry(event: GuardEvent): TimelineEntry[] {
  const kind = kinds[event.kind];
  if (kind === undefined) return [];
  const seen = isoTime(Date.parse(String(event.data["at"])));
  const source = `events/events.jsonl ${event.sequence}`;
  return [{ at: seen ?? event.at, kind, source, text: eventText(event).slice(0, MAX_TEXT) }];
}

function eventText({ kind, data }: GuardEvent): string {
  const { finding, event, rule, reactions, held, reaction, state } = data;
  if (kind === "finding") return `${String(event)}: ${findingText(finding)}`;
  if (kind === "decision") {
    const back =
      Array.isArray(held) && held.length > 0 ? `; held back: ${JSON.stringify(held)}` : "";
    return `rule ${String(rule)}: ${asList(reactions)}${back}`;
  }
  if (kind === "reaction") return `${String(reaction)}: ${String(state)}`;
  const { run: _, ...facts } = data;
  return `${kind} ${JSON.stringify(facts)}`;
}

/** A finding as one line. */
export function findingText(finding: unknown): string {
  const { title, severity, confidence, id } = (finding ?? {}) as Readonly<Record<string, unknown>>;
  const sure = `${String(severity)} severity, ${String(confidence)} confidence`;
  return `${String(title)} (${sure}; ${String(id)})`;
}

function asList(value: unknown): string {
  return Array.isArray(value) ? value.map(String).join(", ") : "";
}
