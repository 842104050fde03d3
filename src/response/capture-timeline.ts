import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { clockOf, guestEntry, makeTimeline } from "../evidence/timeline.ts";
import type { Timeline, TimelineClock, TimelineEntry } from "../evidence/timeline.ts";
import type { Home } from "../vm/home.ts";
import type { CopyResult } from "./guest-copy.ts";
import type { ControlledGuest } from "./guest-control.ts";
import { findingText, recordedPast } from "./timeline-records.ts";

const MAX_TEXT = 500;

/** The guest's clock as its memory has it; NaN where that was not understood. */
export type GuestTimes = { readonly bootMs: number; readonly writtenMs: number };

/**
 * One order of time for all that is known of a captured guest: what its memory tells (by its own
 * clock), what the host has on record of it, and the capture itself. `folder` holds the package so far.
 */
export function captureTimeline(
  home: Home,
  guest: ControlledGuest,
  folder: string,
  result: CopyResult,
  times: GuestTimes,
): Timeline {
  const past = recordedPast(home, guest.identity);
  const stopped = result.timeline.find(({ what }) => what === "stopped")?.at ?? "";
  const ran = result.timeline.some(({ what }) => what === "continued");
  // A guest that stood still already has the time of then.
  const hostNow = ran ? Date.parse(stopped) : past.frozenSince;
  const clock = clockOf(times.bootMs, times.writtenMs, hostNow);
  const entries = [
    ...hostEntries(guest, result),
    ...guestEntries(folder, clock),
    ...foundEntries(folder, stopped),
    ...packetEntries(folder),
    ...past.entries,
  ];
  return makeTimeline(clock, entries, past.problems);
}

function hostEntries({ vm }: ControlledGuest, { timeline }: CopyResult): TimelineEntry[] {
  const source = "manifest.json";
  const started: TimelineEntry[] =
    vm?.run === undefined
      ? []
      : [{ at: vm.run.startedAt, kind: "guest", source, text: `QEMU started (pid ${vm.run.pid})` }];
  const steps = timeline.map(({ at, what }): TimelineEntry => ({
    at,
    kind: "capture",
    source,
    text: what,
  }));
  return [...started, ...steps];
}

type Fields = Readonly<Record<string, unknown>>;

function guestEntries(folder: string, clock: TimelineClock): TimelineEntry[] {
  const release = documentOf(folder, "views/info.json")["release"];
  const boot = {
    kind: "boot",
    source: "views/info.json",
    text: `Linux ${text(release)} booted`,
  } as const;
  return [
    ...guestEntry(clock, clock.bootTime, boot),
    ...rowsOf(folder, "views/ps.json", "processes").flatMap((row) =>
      guestEntry(clock, row["startTime"], {
        kind: "process",
        source: "views/ps.json",
        text: processText(row),
      }),
    ),
    ...rowsOf(folder, "views/dmesg.json", "records").flatMap((row) =>
      guestEntry(clock, row["time"], {
        kind: "kernel-log",
        source: "views/dmesg.json",
        text: text(row["text"]),
      }),
    ),
  ];
}

function processText({ pid, comm, uid, kthread, exe, cmdline }: Fields): string {
  const name = `${text(comm)} (pid ${text(pid)}, uid ${text(uid)})`;
  if (kthread === true) return `kernel thread ${name} started`;
  const called = text(cmdline) === "" ? text(exe) : text(cmdline);
  return `${name} started${called === "" ? "" : `: ${called}`}`.slice(0, MAX_TEXT);
}

/** What the sweep of the copy found was there when the guest stood still. */
function foundEntries(folder: string, at: string): TimelineEntry[] {
  return rowsOf(folder, "findings.json", "findings").map((finding) => ({
    at,
    kind: "finding",
    source: "findings.json",
    text: `in the captured memory: ${findingText(finding)}`.slice(0, MAX_TEXT),
  }));
}

function packetEntries(folder: string): TimelineEntry[] {
  return rowsOf(folder, "packets.json", "files").flatMap(({ file, from, until, packets }) => {
    const about = { kind: "packets", source: text(file) } as const;
    return [
      { at: from, text: `the first of ${text(packets)} packets` },
      { at: until, text: `the last of ${text(packets)} packets` },
    ].flatMap((entry) =>
      typeof entry.at === "string" ? [{ ...about, ...entry, at: entry.at }] : [],
    );
  });
}

/** What kvmsec itself has written there a moment ago; a part that could not be made is not there. */
function documentOf(folder: string, name: string): Fields {
  const path = join(folder, name);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Fields) : {};
}

function rowsOf(folder: string, name: string, list: string): readonly Fields[] {
  const rows = documentOf(folder, name)[list];
  return Array.isArray(rows) ? (rows as Fields[]) : [];
}

function text(value: unknown): string {
  return typeof value === "string"
    ? value.slice(0, MAX_TEXT)
    : typeof value === "number"
      ? String(value)
      : "";
}
