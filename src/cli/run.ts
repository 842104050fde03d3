import { Command, CommanderError } from "commander";
import { KvmsecError, exitStatus, systemCode } from "../base/errors.ts";
import type { ExitStatus } from "../base/errors.ts";
import type { CommandIo } from "./command.ts";
import { commands } from "./commands.ts";

/** Runs one command line; returns the exit status. Never throws for a user's mistake. */
export async function run(argv: readonly string[]): Promise<number> {
  let status: ExitStatus = exitStatus.clean;
  const io: CommandIo = {
    stdout: process.stdout,
    stderr: process.stderr,
    exit: (value) => (status = value),
  };
  process.stdout.on("error", leaveOnClosedPipe);
  try {
    await (await program(argv, io)).parseAsync(argv as string[], { from: "user" });
    return status;
  } catch (error) {
    return report(error, io);
  }
}

async function program(argv: readonly string[], io: CommandIo): Promise<Command> {
  const root = new Command("kvmsec")
    .description("Guards Linux virtual machines from outside.")
    .version(await version())
    .exitOverride()
    .showHelpAfterError("(kvmsec COMMAND --help says more)");
  for (const entry of commands) {
    const command = root.command(entry.name).description(entry.summary);
    command.exitOverride();
    if (argv.includes(entry.name)) (await entry.load()).define(command, io);
  }
  return root;
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
    io.stderr.write(`kvmsec: ${error.code}: ${error.message}\n`);
    if (error.hint !== undefined) io.stderr.write(`  ${error.hint}\n`);
    return error.exit;
  }
  const code = systemCode(error);
  const text = error instanceof Error ? error.message : String(error);
  io.stderr.write(`kvmsec: KVMSEC_INTERNAL: ${code === undefined ? "" : `${code}: `}${text}\n`);
  if (process.env["KVMSEC_DEBUG"] === undefined) {
    io.stderr.write("  This is a fault in kvmsec. KVMSEC_DEBUG=1 shows where it happened.\n");
  } else if (error instanceof Error) {
    io.stderr.write(`${error.stack}\n`);
  }
  return exitStatus.unobservable;
}

/** `kvmsec … | head` ends quietly. */
function leaveOnClosedPipe(error: Error): void {
  if (systemCode(error) === "EPIPE") process.exit(0);
  throw error;
}
