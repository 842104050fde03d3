import { InvalidArgumentError, Option } from "commander";
import { exitStatus, usageError } from "../../base/errors.ts";
import type { ExitStatus } from "../../base/errors.ts";
import { scopes } from "../../scan/region.ts";
import type { Scope } from "../../scan/region.ts";
import { scanGuest } from "../../scan/scan.ts";
import type { ScanMatch, ScanResult } from "../../scan/scan.ts";
import { YaraRules } from "../../scan/yara.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { sizeText, write, writeDocument } from "../output.ts";
import { pidOption } from "../pid-option.ts";
import { printable } from "../text.ts";
import { attachWith, documentHead, targetArgument } from "../view.ts";
import type { ViewOptions } from "../view.ts";

type Options = ViewOptions & {
  readonly rules: string;
  readonly in?: readonly Scope[];
  readonly pid?: readonly number[];
  readonly timeLimit: number;
};

const DEFAULT_SECONDS = 300;

/** `kvmsec scan`: YARA rules over the guest's memory; exit status 1 where one matches. */
export const define: CommandModule["define"] = (command, io) => {
  targetArgument(command)
    .requiredOption("--rules <file>", "YARA rules")
    .addOption(new Option("--in <scope...>", "only there (default: everywhere)").choices(scopes))
    .addOption(pidOption())
    .option(
      "--time-limit <seconds>",
      "stop after so long, and say what was left",
      seconds,
      DEFAULT_SECONDS,
    )
    .option("--json", "one JSON document")
    .action(async (target: string, options: Options) => {
      const rules = YaraRules.load(options.rules);
      using guest = await attachWith(target, options);
      const start = performance.now();
      const result = scanGuest(guest.kernel, rules, {
        scopes: scopesOf(options),
        pid: options.pid,
        timeLimitMs: options.timeLimit * 1000,
      });
      guest.requireAlive();
      const durationMs = performance.now() - start;
      if (options.json === true) {
        const { warnings } = rules;
        await writeDocument(io, "kvmsec.scan/1", {
          ...documentHead(guest),
          durationMs,
          ...result,
          warnings,
        });
      } else await show(io, rules, result);
      io.exit(statusOf(result));
    });
};

/** Processes that are named are all that is looked at, unless something else is named too. */
function scopesOf({ in: named, pid }: Options): readonly Scope[] | undefined {
  if (pid === undefined) return named;
  if (named !== undefined && !named.includes("processes")) {
    throw usageError("KVMSEC_USAGE", "--pid names processes, and --in leaves them out.");
  }
  return named ?? ["processes"];
}

function statusOf({ matches, coverage }: ScanResult): ExitStatus {
  if (matches.length > 0) return exitStatus.findings;
  return coverage.every(({ complete }) => complete) ? exitStatus.clean : exitStatus.partial;
}

async function show(io: CommandIo, { warnings }: YaraRules, result: ScanResult): Promise<void> {
  for (const line of [...warnings, ...result.problems]) {
    io.stderr.write(`kvmsec: ${printable(line)}\n`);
  }
  for (const match of result.matches) await write(io.stdout, `${describe(match).join("\n")}\n`);
  const looked = result.coverage.map(
    ({ scope, regions, bytes, complete }) =>
      `${scope} ${regions} regions, ${sizeText(bytes)}${complete ? "" : " (not all)"}`,
  );
  await write(io.stdout, `${result.matches.length} matches; scanned: ${looked.join("; ")}\n`);
}

const SHOWN = 10;

function describe({ rule, region, scope, pid, comm, matches }: ScanMatch): string[] {
  const whose = pid === null ? scope : `process ${pid} (${printable(comm ?? "?")})`;
  const shown = matches.slice(0, SHOWN).map(({ pattern, length, bytes, ...place }) => {
    const where = Object.entries(place).map(
      ([name, value]) => `${name} ${printable(String(value))}`,
    );
    return `    ${pattern} ${where.join(", ")}: ${bytes}${length * 2 > bytes.length ? "…" : ""}`;
  });
  const more = matches.length > SHOWN ? [`    … ${matches.length - SHOWN} more`] : [];
  return [`${rule}: ${whose}, ${printable(region)}`, ...shown, ...more];
}

function seconds(text: string): number {
  const value = Number(text);
  if (value > 0 && value <= 86_400) return value;
  throw new InvalidArgumentError("It is a number above 0 and up to 86400.");
}
