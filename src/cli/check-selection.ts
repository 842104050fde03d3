import type { Command } from "commander";
import { usageError } from "../base/errors.ts";
import type { Check } from "../checks/check.ts";
import { checks } from "../checks/registry.ts";

export type CheckSelection = { readonly only?: string; readonly skip?: string };

/** `--only` and `--skip`. */
export function selectionOptions(command: Command): Command {
  return command
    .option("--only <ids>", "run these checks only (comma-separated)")
    .option("--skip <ids>", "leave these checks out");
}

/** The checks that `--only` and `--skip` leave. Throws KVMSEC_CHECK_UNKNOWN. */
export function chosenChecks({ only, skip }: CheckSelection): readonly Check[] {
  const wanted = only === undefined ? undefined : ids(only);
  const unwanted = skip === undefined ? new Set<string>() : ids(skip);
  return checks.filter(({ id }) => (wanted?.has(id) ?? true) && !unwanted.has(id));
}

function ids(text: string): Set<string> {
  const known = new Set(checks.map(({ id }) => id));
  const named = new Set(text.split(",").map((id) => id.trim()));
  for (const id of named) {
    if (known.has(id)) continue;
    throw usageError(
      "KVMSEC_CHECK_UNKNOWN",
      `There is no check "${id}".`,
      "kvmsec check --list names them all.",
    );
  }
  return named;
}
