import { exitStatus, usageError } from "../../base/errors.ts";
import type { ExitStatus } from "../../base/errors.ts";
import type { Check } from "../../checks/check.ts";
import type { Finding } from "../../checks/finding.ts";
import { checks } from "../../checks/registry.ts";
import { sweep } from "../../checks/sweep.ts";
import type { CheckResult, Sweep } from "../../checks/sweep.ts";
import { findKernelText } from "../../vm/kernel-file.ts";
import { readProcessors } from "../../vm/processors.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { durationText, write, writeDocument, writeTable } from "../output.ts";
import type { Column } from "../table.ts";
import { attachWith, documentHead, targetArgument } from "../view.ts";
import type { ViewOptions } from "../view.ts";

type Options = ViewOptions & {
  readonly list?: boolean;
  readonly only?: string;
  readonly skip?: string;
  readonly kernelFile?: string;
};

/** `kvmsec check`: one full sweep; exit status 1 where something is wrong, 4 where not all was seen. */
export const define: CommandModule["define"] = (command, io) => {
  targetArgument(command, true)
    .option("--list", "list the checks instead")
    .option("--only <ids>", "run these checks only (comma-separated)")
    .option("--skip <ids>", "leave these checks out")
    .option("--kernel-file <file>", "the vmlinuz or vmlinux that the guest booted")
    .option("--json", "one JSON document")
    .action(async (target: string | undefined, options: Options) => {
      if (options.list === true) return list(io, options);
      if (target === undefined) {
        throw usageError("KVMSEC_TARGET_MISSING", "Which guest? No target was given.");
      }
      using guest = await attachWith(target, options);
      const text = findKernelText(guest, options.kernelFile);
      const processors = await readProcessors(guest);
      const result = sweep(guest.kernel, chosen(options), { ...text, ...processors });
      guest.requireAlive();
      if (options.json === true) {
        await writeDocument(io, "kvmsec.check/1", { ...documentHead(guest), ...json(result) });
      } else {
        await show(io, result);
      }
      io.exit(statusOf(result));
    });
};

/** The checks that `--only` and `--skip` leave. Throws KVMSEC_CHECK_UNKNOWN. */
function chosen({ only, skip }: Options): readonly Check[] {
  const wanted = only === undefined ? undefined : ids(only);
  const unwanted = skip === undefined ? new Set<string>() : ids(skip);
  return checks.filter(({ id }) => (wanted?.has(id) ?? true) && !unwanted.has(id));
}

function ids(text: string): Set<string> {
  const known = new Set(checks.map(({ id }) => id));
  const named = new Set(text.split(",").map((id) => id.trim()));
  for (const id of named) {
    if (!known.has(id)) {
      throw usageError(
        "KVMSEC_CHECK_UNKNOWN",
        `There is no check "${id}".`,
        "kvmsec check --list names them all.",
      );
    }
  }
  return named;
}

/** Findings come first; then what could not be looked at; clean only if all was. */
export function statusOf({ checks: results, findings }: Sweep): ExitStatus {
  if (findings.length > 0) return exitStatus.findings;
  return results.every(({ status }) => status === "pass") ? exitStatus.clean : exitStatus.partial;
}

function json({ startedAt, durationMs, checks: results, findings }: Sweep): object {
  return {
    startedAt,
    durationMs,
    checks: results.map((result) => ({ ...result, reason: result.reason ?? null })),
    findings,
  };
}

const columns: readonly Column<CheckResult>[] = [
  { title: "CHECK", value: (row) => row.id },
  {
    title: "STATUS",
    value: (row) => row.status,
    paint: (text, row, colours) =>
      row.status === "pass" ? colours.green(text) : colours.red(text),
  },
  { title: "FINDINGS", value: (row) => row.findings.length, align: "right" },
  { title: "LOOKED AT", value: ({ coverage }) => coverageText(coverage), align: "right" },
  { title: "TIME", value: (row) => durationText(row.durationMs), align: "right" },
  { title: "REASON", value: (row) => row.reason, shrink: 20 },
];

function coverageText({ looked, of }: CheckResult["coverage"]): string {
  return looked === of ? String(looked) : `${looked} of ${of}`;
}

async function show(io: CommandIo, result: Sweep): Promise<void> {
  await writeTable(io, columns, result.checks);
  for (const finding of result.findings) await write(io.stdout, describe(finding));
  const seen = result.checks.filter(({ status }) => status === "pass" || status === "fail").length;
  const summary = `${result.findings.length} findings, ${seen} of ${result.checks.length} checks ran to the end, ${durationText(result.durationMs)}`;
  await write(io.stdout, `\n${summary}\n`);
}

function describe(finding: Finding): string {
  const evidence = Object.entries(finding.evidence).map(
    ([name, value]) =>
      `    ${name}: ${typeof value === "string" ? value : JSON.stringify(value)}\n`,
  );
  const head = `\n${finding.severity.toUpperCase()} (${finding.confidence} confidence) ${finding.title}\n`;
  return `${head}    ${finding.id}  ${finding.attack.join(" ")}\n${evidence.join("")}`;
}

async function list(io: CommandIo, options: Options): Promise<void> {
  const described = chosen(options).map(({ id, proves, reads, attack, limits }) => ({
    id,
    proves,
    reads,
    attack,
    limits,
  }));
  if (options.json === true) {
    await writeDocument(io, "kvmsec.checks/1", { checks: described });
    return;
  }
  await writeTable(
    io,
    [
      { title: "CHECK", value: (row) => row.id },
      { title: "PROVES", value: (row) => row.proves, shrink: 30 },
      { title: "ATT&CK", value: (row) => row.attack.join(" ") },
    ],
    described,
  );
}
