import { userInfo } from "node:os";
import type { Command } from "commander";

/** `--by`: who says what is put on record. */
export function byOption(command: Command): Command {
  return command.option("--by <name>", "who says so (default: this user)");
}

/** Whose word it is: who was named, else who called sudo, else this user. */
export function whoSays({ by }: { readonly by?: string | undefined }): string {
  return by ?? process.env["SUDO_USER"] ?? userInfo().username;
}
