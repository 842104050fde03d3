import type { Command } from "commander";
import type { ExitStatus } from "../base/errors.ts";

/** What a command's file exports: it adds its arguments and options, and its action returns the exit status. */
export type CommandModule = {
  /** Adds arguments, options and the action (through `io.action`) to an empty command. */
  define(command: Command, io: CommandIo): void;
};

/** A stream that may be a terminal, which then knows its size. */
export type OutputStream = NodeJS.WritableStream & {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
};

/** What a command may use of the world outside. */
export type CommandIo = {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  /** Told by the command when it is done; the process leaves with it. */
  exit(status: ExitStatus): void;
};

export type CommandEntry = {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<CommandModule>;
};

/** Commands that the help text lists under one heading. */
export type CommandGroup = {
  readonly heading: string;
  readonly commands: readonly CommandEntry[];
};
