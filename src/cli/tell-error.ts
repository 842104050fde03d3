import { exitStatus } from "../base/errors.ts";
import type { KvmsecError } from "../base/errors.ts";
import type { Damage } from "../vm/home.ts";
import type { CommandIo } from "./command.ts";
import { printable } from "./text.ts";

/** Says a coded error and its hint to the person at the terminal. Sentences may quote what a guest says. */
export function tellError({ stderr }: CommandIo, { code, message, hint }: KvmsecError): void {
  stderr.write(`kvmsec: ${code}: ${printableLines(message)}\n`);
  if (hint !== undefined) stderr.write(`  ${printableLines(hint)}\n`);
}

/** Says what a list of the home had to leave out, which then is a part only. */
export function tellDamage(io: CommandIo): Damage {
  return (_name, error) => {
    tellError(io, error);
    io.exit(exitStatus.partial);
  };
}

export function printableLines(text: string): string {
  return text.split("\n").map(printable).join("\n");
}
