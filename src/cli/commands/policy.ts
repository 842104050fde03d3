import { readFileSync } from "node:fs";
import { z } from "zod";
import { sharesOf } from "../../checks/registry.ts";
import { loadConfig } from "../../daemon/load-config.ts";
import { decide } from "../../policy/decide.ts";
import { loadYaml } from "../../policy/load.ts";
import { confidences, severities } from "../../policy/schema.ts";
import { systemCode, usageError } from "../../base/errors.ts";
import type { CommandModule } from "../command.ts";
import { write, writeDocument } from "../output.ts";
import { printable } from "../text.ts";

type Options = {
  readonly config?: string;
  readonly sweeps: number;
  readonly json?: boolean;
};

const report = z.object({
  schema: z.literal("kvmsec.check/1"),
  target: z.string(),
  findings: z.array(
    z.object({
      id: z.string(),
      check: z.string(),
      severity: z.enum(severities),
      confidence: z.enum(confidences),
    }),
  ),
});

/** `kvmsec policy try`: what a policy would do about a report, without a guest. */
export const define: CommandModule["define"] = (command, io) => {
  command
    .command("try")
    .description("says what the policy would do about a report of kvmsec check --json")
    .argument("<report>", "a file with that document")
    .option("--config <file>", "the configuration; the defaults unless told")
    .option("--sweeps <count>", "as if so many sweeps in a row had found the same", whole, 1)
    .option("--json", "one JSON document")
    .action(async (path: string, options: Options) => {
      const { target, findings } = loadYaml(report, readText(path), path);
      const now = new Date();
      const open = findings.map((finding) => ({
        ...finding,
        shares: sharesOf(finding.check),
        since: now,
      }));
      const sightings = open.flatMap(({ id }) =>
        Array.from({ length: options.sweeps }, () => ({ id, at: now })),
      );
      const decisions = decide(
        loadConfig(options.config),
        { guest: target, run: "try", open, sightings, past: [] },
        now,
      );
      if (options.json === true) {
        return writeDocument(io, "kvmsec.policy-try/1", { target, decisions });
      }
      const lines = decisions.flatMap(({ rule, reactions, held, findings: met }) => [
        `${rule}: ${reactions.join(", ") || "nothing"} (${met.map(printable).join(", ")})`,
        ...held.map(({ reaction, because }) => `  ${reaction} is held back: ${because}`),
      ]);
      await write(io.stdout, `${lines.join("\n") || "nothing to decide"}\n`);
    });
};

function whole(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0 && value <= 1000) return value;
  throw usageError("KVMSEC_USAGE", `"${text}" is no number of sweeps from 1 to 1000.`);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const reason = systemCode(error) ?? String(error);
    throw usageError("KVMSEC_REPORT_UNREADABLE", `${path} cannot be read: ${reason}`);
  }
}
