import { InvalidArgumentError } from "commander";
import { exitStatus } from "../../base/errors.ts";
import { sweep } from "../../checks/sweep.ts";
import type { Sweep } from "../../checks/sweep.ts";
import { allowedOn } from "../../daemon/allow-for.ts";
import { allowedText } from "./check.ts";
import { FindingLives } from "../../daemon/finding-life.ts";
import type { FindingEvent } from "../../daemon/finding-life.ts";
import { KernelFileSearch } from "../../files/kernel-file-search.ts";
import { findKernelFiles } from "../../files/kernel-files.ts";
import type { FileOptions } from "../../files/kernel-files.ts";
import { readProcessors } from "../../vm/processors.ts";
import { onRunningKernel } from "../../vm/running-kernel.ts";
import { chosenChecks, selectionOptions } from "../check-selection.ts";
import type { CheckSelection } from "../check-selection.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { fileOptions } from "../file-options.ts";
import { describeFinding } from "../finding-text.ts";
import { onInterrupt, pause } from "../interrupt.ts";
import { durationText, outputColours, write, writeJsonLine } from "../output.ts";
import { printable } from "../text.ts";
import { attachWith, targetArgument } from "../view.ts";
import type { ViewOptions } from "../view.ts";

type Options = Omit<ViewOptions, "watch"> &
  CheckSelection &
  FileOptions & {
    readonly interval: number;
    readonly count?: number;
    readonly config?: string;
  };

/** `kvmsec watch`: sweeps until it is stopped, and tells each finding when it comes and goes. */
export const define: CommandModule["define"] = (command, io) => {
  fileOptions(selectionOptions(targetArgument(command)))
    .option("--interval <seconds>", "from the end of one sweep to the next", positive, 1)
    .option("--count <sweeps>", "leave after so many sweeps", positive)
    .option(
      "--config <file>",
      "whose allow-list holds (default: $KVMSEC_CONFIG, else guard.yaml of the home)",
    )
    .option("--json", "one JSON object a line")
    .action(async (target: string, options: Options) => {
      using guest = await attachWith(target, options);
      using interruption = onInterrupt();
      const search = new KernelFileSearch(() => findKernelFiles(guest, options));
      const chosen = chosenChecks(options);
      const allow = allowedOn(guest, options.config);
      const lives = new FindingLives();
      let seen = true;
      const left = options.count ?? Number.POSITIVE_INFINITY;
      for (let done = 0; done < left && !interruption.signal.aborted; done++) {
        if (done > 0) await pause(options.interval * 1000, interruption.signal);
        if (interruption.signal.aborted) break;
        guest.requireAlive();
        const host = { ...search.files, ...(await readProcessors(guest)) };
        const look = await onRunningKernel(guest, () => sweep(guest.kernel, chosen, host, allow));
        seen = look.checks.every(({ status }) => status === "pass" || status === "fail");
        await tell(io, options, target, look, changes(lives, look), done === 0);
      }
      const rest = seen ? exitStatus.clean : exitStatus.partial;
      io.exit(lives.open.length > 0 ? exitStatus.findings : rest);
    });
};

/** Who watches sees that a finding persists. */
function changes(lives: FindingLives, look: Sweep): FindingEvent[] {
  return lives.update(look).filter(({ event }) => event !== "persisting");
}

function positive(text: string): number {
  const value = Number(text);
  if (value > 0 && value <= 86_400) return value;
  throw new InvalidArgumentError("It is a number above 0 and up to 86400.");
}

async function tell(
  io: CommandIo,
  { json }: Options,
  target: string,
  look: Sweep,
  events: readonly FindingEvent[],
  first: boolean,
): Promise<void> {
  if (json === true) {
    if (first)
      await writeJsonLine(io, "kvmsec.watch/1", { event: "watching", target, ...brief(look) });
    for (const event of events) await writeJsonLine(io, "kvmsec.watch/1", { target, ...event });
    return;
  }
  const colours = outputColours(io);
  if (first) await write(io.stdout, `${opening(look)}\n`);
  for (const { event, at, finding } of events) {
    const lines =
      event === "resolved" ? [printable(finding.title)] : describeFinding(finding, colours);
    await write(io.stdout, `${at.toISOString()} ${event.toUpperCase()} ${lines.join("\n")}\n`);
  }
}

function brief({ startedAt, durationMs, checks, allowed }: Sweep): object {
  const unseen = checks.filter(({ status }) => status === "skipped" || status === "error");
  return {
    at: startedAt,
    durationMs,
    checks: checks.length,
    unseen: unseen.map(({ id, reason }) => ({ id, reason: reason ?? null })),
    allowed: allowed.map(({ by, finding }) => ({ by, id: finding.id, title: finding.title })),
  };
}

function opening({ checks, durationMs, allowed }: Sweep): string {
  const unseen = checks.filter(({ status }) => status === "skipped" || status === "error");
  const lines = unseen.map(({ id, reason }) =>
    printable(`  not looked at: ${id} (${reason ?? "?"})`),
  );
  const head = `Watching with ${checks.length - unseen.length} of ${checks.length} checks; the first sweep took ${durationText(durationMs)}. Ctrl-C leaves.`;
  return [head, ...lines, ...allowed.map((one) => `  ${allowedText(one)}`)].join("\n");
}
