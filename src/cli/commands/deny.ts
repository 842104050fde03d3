import type { CommandModule } from "../command.ts";
import { defineVerdict } from "./approvals.ts";

/** `kvmsec deny`: what waited for a person is not done. */
export const define: CommandModule["define"] = (command, io) =>
  defineVerdict(command, io, "decision-denied");
