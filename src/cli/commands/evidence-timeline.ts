import { InvalidArgumentError, Option } from "commander";
import type { Command } from "commander";
import { KvmsecError } from "../../base/errors.ts";
import { readTimeline } from "../../evidence/read-timeline.ts";
import { timelineKinds } from "../../evidence/timeline.ts";
import type { Timeline, TimelineEntry, TimelineKind } from "../../evidence/timeline.ts";
import type { CommandIo } from "../command.ts";
import { write, writeDocument } from "../output.ts";
import { printable } from "../text.ts";

type Options = {
  readonly json?: boolean;
  readonly kind?: readonly TimelineKind[];
  readonly since?: Date;
  readonly until?: Date;
};

/** `evidence timeline`: what happened, in the order in which it did. */
export function defineTimeline(command: Command, io: CommandIo): void {
  command
    .command("timeline")
    .description("all that is known of the captured guest in the order of time, and who says so")
    .argument("<folder>", "the package")
    .addOption(new Option("--kind <kind...>", "of these kinds only").choices(timelineKinds))
    .option("--since <time>", "not earlier than this (ISO 8601)", time)
    .option("--until <time>", "not later than this (ISO 8601)", time)
    .option("--json", "one JSON document")
    .action((folder: string, options: Options) => show(io, folder, options));
}

function time(text: string): Date {
  const value = new Date(text);
  if (!Number.isNaN(+value)) return value;
  throw new InvalidArgumentError("Write a time as 2026-01-31T12:00:00Z.");
}

async function show(io: CommandIo, folder: string, options: Options): Promise<void> {
  const timeline = await readTimeline(folder);
  if (timeline === undefined) {
    throw new KvmsecError("KVMSEC_TIMELINE_MISSING", `${folder} has no timeline.`, {
      hint: "Captures have one; what is left of a guest that ended by itself has none.",
    });
  }
  const entries = timeline.entries.filter((entry) => isWanted(entry, options));
  if (options.json === true) {
    const { schema: _, ...rest } = timeline;
    return writeDocument(io, "kvmsec.timeline/1", { folder, ...rest, entries });
  }
  for (const { at, kind, text, source } of entries) {
    await write(io.stdout, `${printable(`${at} ${kind.padEnd(10)} ${text}  [${source}]`)}\n`);
  }
  for (const line of notes(timeline)) await write(io.stderr, `kvmsec: ${printable(line)}\n`);
}

function isWanted({ at, kind }: TimelineEntry, { kind: wanted, since, until }: Options): boolean {
  const ms = Date.parse(at);
  return (
    (wanted?.includes(kind) ?? true) &&
    (since === undefined || ms >= +since) &&
    (until === undefined || ms <= +until)
  );
}

function notes({ clock, incomplete }: Timeline): string[] {
  const off = Math.abs(clock.correctedMs) / 1000;
  const side = clock.correctedMs > 0 ? "ahead of" : "behind";
  return [
    ...(clock.correctedMs === 0
      ? []
      : [`the guest's clock was ${off} s ${side} the host's; its times are put right`]),
    ...(incomplete ?? []).map((reason) => `incomplete: ${reason}`),
  ];
}
