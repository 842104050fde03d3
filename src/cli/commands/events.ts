import { InvalidArgumentError, Option } from "commander";
import { KvmsecError, exitStatus } from "../../base/errors.ts";
import { eventKinds } from "../../events/event.ts";
import type { EventKind, GuardEvent } from "../../events/event.ts";
import { eventLogPath } from "../../events/event-log.ts";
import { readLog } from "../../events/log-reader.ts";
import type { LogEnd } from "../../events/log-reader.ts";
import { knownCut } from "../../store/store.ts";
import type { LogCut } from "../../store/store.ts";
import { homeAt, homePath } from "../../vm/home.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { eventText } from "../event-text.ts";
import { onInterrupt, pause } from "../interrupt.ts";
import { write, writeDocument } from "../output.ts";

type Options = {
  readonly follow?: boolean;
  readonly json?: boolean;
  readonly verify?: boolean;
  readonly guest?: string;
  readonly kind?: EventKind;
  readonly since?: Date;
};

const LOOK_MS = 250;

/** `kvmsec events`: what the guard saw, decided and did. */
export const define: CommandModule["define"] = (command, io) => {
  command
    .option("-f, --follow", "go on telling what happens, until stopped")
    .option("--guest <name>", "of this guest only")
    .addOption(new Option("--kind <kind>", "of this kind only").choices(eventKinds))
    .option("--since <time>", "not older than this (ISO 8601)", time)
    .option("--verify", "check the chain of hashes instead; exit status 1 where it is broken")
    .option("--json", "one JSON object a line, as in the log")
    .action(async (options: Options) => {
      const path = eventLogPath(homePath(process.env));
      if (options.verify === true) return verify(io, path, options);
      let end = await tell(io, path, options);
      if (options.follow !== true) return;
      using interruption = onInterrupt();
      while (!interruption.signal.aborted) {
        await pause(LOOK_MS, interruption.signal);
        end = await tell(io, path, options, end);
      }
    });
};

/** Writes the events behind `from`. Throws KVMSEC_EVENTS_DAMAGED. */
async function tell(io: CommandIo, path: string, options: Options, from?: LogEnd): Promise<LogEnd> {
  const events: GuardEvent[] = [];
  const { json } = options;
  const end = readLog(path, (event) => isWanted(event, options) && events.push(event), from);
  for (const event of events) {
    await write(io.stdout, `${json === true ? JSON.stringify(event) : eventText(event)}\n`);
  }
  if (end.fault === undefined) return end;
  const { file, line, reason } = end.fault;
  throw new KvmsecError("KVMSEC_EVENTS_DAMAGED", `${file}, line ${line}: ${reason}.`, {
    hint: "Keep the file as evidence; the guard puts it aside and begins a new one when it starts.",
    exit: exitStatus.findings,
  });
}

function isWanted({ guest, kind, at }: GuardEvent, options: Options): boolean {
  return (
    (options.guest ?? guest) === guest &&
    (options.kind ?? kind) === kind &&
    (options.since === undefined || Date.parse(at) >= +options.since)
  );
}

function time(text: string): Date {
  const value = new Date(text);
  if (!Number.isNaN(+value)) return value;
  throw new InvalidArgumentError("Write a time as 2026-01-31T12:00:00Z.");
}

/** The log says whether it holds together; that its end is missing only the store can know. */
async function verify(io: CommandIo, path: string, options: Options): Promise<void> {
  const { events, last, fault, torn } = readLog(path);
  const cut = fault === undefined ? knownCut(homeAt(homePath(process.env))) : undefined;
  if (fault !== undefined || cut !== undefined) io.exit(exitStatus.findings);
  if (options.json === true) {
    const hash = last?.hash ?? null;
    return writeDocument(io, "kvmsec.events-verify/1", {
      path,
      events,
      hash,
      fault: fault ?? null,
      torn,
      cut: cut ?? null,
    });
  }
  const after = torn === 0 ? "" : ` (${torn} bytes of an unfinished line follow)`;
  await write(
    io.stdout,
    fault === undefined
      ? `${path}: ${events} events, unbroken${after}; the last hash is ${last?.hash ?? "none"}\n${cutText(cut)}`
      : `${fault.file}: line ${fault.line} does not fit: ${fault.reason}; ${events} events before it do\n`,
  );
}

function cutText(cut: LogCut | undefined): string {
  if (cut === undefined) return "";
  const { events, hash, found } = cut;
  return `Its end was cut off or exchanged: the store has seen event ${events} (hash ${hash}), and the log held ${found} when that was noticed.\n`;
}
