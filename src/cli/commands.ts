import type { CommandEntry } from "./command.ts";

/** Every command, in the order of the help text; a command's file is loaded only when it is called. */
export const commands: readonly CommandEntry[] = [];
