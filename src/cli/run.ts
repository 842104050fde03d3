import { Command, CommanderError } from "commander";
import { KvmsecError, exitStatus, systemCode } from "../base/errors.ts";
import type { ExitStatus } from "../base/errors.ts";
import type { CommandIo } from "./command.ts";
import { commandGroups } from "./commands.ts";
import { printableLines, tellError } from "./tell-error.ts";

/** Runs one command line; returns the exit status. Never throws for a user's mistake. */
export async function run(argv: readonly string[]): Promise<number> {
  let status: ExitStatus = exitStatus.clean;
  const io: CommandIo = {
    stdout: process.stdout,
    stderr: process.stderr,
    exit: (value) => (status = value),
  };
  process.stdout.on("error", (error) => process.exit(outputFailed(error, io)));
  process.on("uncaughtException", (error) => process.exit(report(error, io)));
  try {
    await (await program(argv, io)).parseAsync(argv as string[], { from: "user" });
    return status;
  } catch (error) {
    return report(error, io);
  }
}

/** The command line's grammar; only the commands that `argv` names are loaded. */
export async function program(argv: readonly string[], io: CommandIo): Promise<Command> {
  const root = new Command("kvmsec")
    .description("Guards Linux virtual machines from outside.")
    .version(await version())
    .showSuggestionAfterError()
    .showHelpAfterError("(kvmsec --help lists the commands, kvmsec COMMAND --help says more)");
  for (const { heading, commands } of commandGroups) {
    root.commandsGroup(heading);
    for (const entry of commands) {
      const command = root.command(entry.name).description(entry.summary);
      if (argv.includes(entry.name)) (await entry.load()).define(command, io);
    }
  }
  for (const command of everyCommand(root)) {
    command.exitOverride().configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, "kvmsec: KVMSEC_USAGE: ")),
    });
  }
  return root;
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}

async function version(): Promise<string> {
  const { default: manifest } = await import("../../package.json", { with: { type: "json" } });
  return manifest.version;
}

function report(error: unknown, io: CommandIo): number {
  if (error instanceof CommanderError) {
    return error.exitCode === 0 ? exitStatus.clean : exitStatus.usage;
  }
  if (error instanceof KvmsecError) {
    tellError(io, error);
    return error.exit;
  }
  const code = systemCode(error);
  const text = printableLines(error instanceof Error ? error.message : String(error));
  io.stderr.write(`kvmsec: KVMSEC_INTERNAL: ${code === undefined ? "" : `${code}: `}${text}\n`);
  if (process.env["KVMSEC_DEBUG"] === undefined) {
    io.stderr.write("  This is a fault in kvmsec. KVMSEC_DEBUG=1 shows where it happened.\n");
  } else if (error instanceof Error) {
    io.stderr.write(`${error.stack}\n`);
  }
  return exitStatus.unobservable;
}

/** `kvmsec … | head` ends quietly; a full disk does not. */
function outputFailed(error: Error, io: CommandIo): number {
  if (systemCode(error) === "EPIPE") return exitStatus.clean;
  const sentence = `standard output could not be written: ${error.message}`;
  return report(new KvmsecError("KVMSEC_OUTPUT", sentence), io);
}
