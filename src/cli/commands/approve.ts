import type { CommandModule } from "../command.ts";
import { defineVerdict } from "./approvals.ts";

/** `kvmsec approve`: lets the guard do what waited for a person. */
export const define: CommandModule["define"] = (command, io) =>
  defineVerdict(command, io, "decision-approved");
