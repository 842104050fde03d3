import { resolve } from "node:path";
import { InvalidArgumentError } from "commander";
import { exitStatus } from "../../base/errors.ts";
import { readConfig } from "../../daemon/load-config.ts";
import type { LoadedConfig } from "../../daemon/load-config.ts";
import { runDaemon } from "../../daemon/daemon.ts";
import { openHome } from "../../vm/home.ts";
import type { CommandModule } from "../command.ts";
import { eventText } from "../event-text.ts";
import { onInterrupt } from "../interrupt.ts";
import { printable } from "../text.ts";

type Options = {
  readonly config?: string;
  readonly once?: boolean;
  readonly interval?: number;
  readonly json?: boolean;
};

/** `kvmsec serve`: the guard, until it is stopped. */
export const define: CommandModule["define"] = (command, io) => {
  command
    .option(
      "--config <file>",
      "YAML, with FILE.d/*.yaml beside it (default: $KVMSEC_CONFIG, else guard.yaml of the home)",
    )
    .option("--once", "one sweep of each guest and what follows from it, then leave")
    .option("--interval <seconds>", "from the end of one sweep to the next", seconds)
    .option("--json", "one JSON object a line, as in the event log")
    .action(async (options: Options) => {
      // Those who work for the guard read the same.
      if (options.config !== undefined) process.env["KVMSEC_CONFIG"] = resolve(options.config);
      using interruption = onInterrupt(process.stdin.isTTY ? undefined : ["SIGINT", "SIGTERM"]);
      const { open, blind } = await runDaemon({
        home: openHome(),
        load: () => loadWith(options),
        once: options.once === true,
        signal: interruption.signal,
        onEvent: (event) =>
          io.stdout.write(`${options.json === true ? JSON.stringify(event) : eventText(event)}\n`),
        onTrouble: (text) => io.stderr.write(`kvmsec: ${printable(text)}\n`),
      });
      const rest = blind ? exitStatus.partial : exitStatus.clean;
      if (options.once === true) io.exit(open > 0 ? exitStatus.findings : rest);
    });
};

/** The configuration, with what the command line says instead of it. */
function loadWith({ config: path, interval }: Options): LoadedConfig {
  const { config, files } = readConfig(path);
  return { files, config: interval === undefined ? config : { ...config, interval } };
}

function seconds(text: string): number {
  const value = Number(text);
  if (value > 0 && value <= 86_400) return value * 1000;
  throw new InvalidArgumentError("It is a number above 0 and up to 86400.");
}
