import { exitStatus, usageError } from "../../base/errors.ts";
import type { ExitStatus } from "../../base/errors.ts";
import { sweep } from "../../checks/sweep.ts";
import { sweepDocument } from "../../checks/sweep-document.ts";
import { baselineCheck } from "../../baseline/baseline-check.ts";
import { BaselineStore } from "../../baseline/baseline-store.ts";
import type { AllowedFinding } from "../../checks/allow-list.ts";
import type { Check } from "../../checks/check.ts";
import type { CheckResult } from "../../checks/look.ts";
import type { Sweep } from "../../checks/sweep.ts";
import { allowedOn } from "../../daemon/allow-for.ts";
import type { DiskTree } from "../../files/disk-tree.ts";
import { GuestVolumes } from "../../files/guest-volumes.ts";
import { findKernelFiles } from "../../files/kernel-files.ts";
import type { FileOptions, TextFile } from "../../files/kernel-files.ts";
import type { Guest } from "../../vm/guest.ts";
import { openHome } from "../../vm/home.ts";
import { pausedProcessors } from "../../response/paused-processors.ts";
import { readProcessors } from "../../vm/processors.ts";
import { onRunningKernel } from "../../vm/running-kernel.ts";
import type { ProcessorSource } from "../../vm/processors.ts";
import { chosenChecks, selectionOptions } from "../check-selection.ts";
import type { CheckSelection } from "../check-selection.ts";
import { describeFinding } from "../finding-text.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { fileOptions } from "../file-options.ts";
import { durationText, outputColours, write, writeDocument, writeTable } from "../output.ts";
import type { Column } from "../table.ts";
import { printable } from "../text.ts";
import { attachWith, documentHead, targetArgument } from "../view.ts";
import type { ViewOptions } from "../view.ts";

type Options = ViewOptions &
  CheckSelection &
  FileOptions & {
    readonly list?: boolean;
    readonly config?: string;
    readonly baseline?: string | true;
    readonly pause?: boolean;
  };

/** `kvmsec check`: one full sweep; exit status 1 where something is wrong, 4 where not all was seen. */
export const define: CommandModule["define"] = (command, io) => {
  fileOptions(selectionOptions(targetArgument(command, true)))
    .option("--list", "list the checks instead")
    .option(
      "--config <file>",
      "whose allow-list holds (default: $KVMSEC_CONFIG, else guard.yaml of the home)",
    )
    .option("--baseline [name]", "also tell what differs from its baseline (default: the target's)")
    .option("--pause", "stop the guest for some milliseconds, to read the processors' LSTAR too")
    .option("--json", "one JSON document")
    .action(async (target: string | undefined, options: Options) => {
      if (options.list === true) return list(io, options);
      if (target === undefined) {
        throw usageError("KVMSEC_TARGET_MISSING", "Which guest? No target was given.");
      }
      using guest = await attachWith(target, options);
      const files = findKernelFiles(guest, options);
      const processors = await processorsOf(guest, options, io);
      using volumes =
        options.baseline === undefined ? undefined : new GuestVolumes(guest, options.disk ?? []);
      const chosen = [
        ...chosenChecks(options),
        ...baselineOf(target, options, () => volumes?.root),
      ];
      const allow = allowedOn(guest, options.config);
      const host = { ...files, ...processors };
      const result = await onRunningKernel(guest, () => sweep(guest.kernel, chosen, host, allow));
      if (options.json === true) {
        const kernelFile = "textFile" in files ? files.textFile : null;
        const fields = { ...documentHead(guest), kernelFile, ...sweepDocument(result) };
        await writeDocument(io, "kvmsec.check/1", fields);
      } else {
        await show(io, result);
        if ("textFile" in files) await write(io.stdout, `${comparedWith(files.textFile)}\n`);
      }
      io.exit(statusOf(result));
    });
};

/** Where the guest cannot be paused, at least what can be read of it while it runs. */
async function processorsOf(
  guest: Guest,
  { pause }: Options,
  io: CommandIo,
): Promise<ProcessorSource> {
  if (pause !== true) return readProcessors(guest);
  const paused = await pausedProcessors(guest);
  if ("processors" in paused) return paused;
  const why = printable(paused.processorsMissing);
  await write(io.stderr, `kvmsec: the guest was not paused, so LSTAR is not read: ${why}\n`);
  return readProcessors(guest);
}

/** The comparison with a baseline, where one was asked for. Throws KVMSEC_BASELINE_MISSING. */
function baselineOf(
  target: string,
  { baseline }: Options,
  disks: () => DiskTree | undefined,
): Check[] {
  if (baseline === undefined) return [];
  using store = new BaselineStore(openHome());
  return [baselineCheck(store.items(baseline === true ? target : baseline), disks)];
}

/** A file on the guest's own disk is the guest's to change: whoever distrusts it can compare the sum. */
function comparedWith({ from, sha256 }: TextFile): string {
  return printable(`the kernel's file: ${from} (SHA-256 ${sha256})`);
}

/** Findings come first; then what could not be looked at; clean only if all was. */
export function statusOf({ checks: results, findings }: Sweep): ExitStatus {
  if (findings.length > 0) return exitStatus.findings;
  return results.every(({ status }) => status === "pass") ? exitStatus.clean : exitStatus.partial;
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
  { title: "REASON", value: (row) => row.reason ?? row.coverage.nothing, shrink: 20 },
];

function coverageText({ looked, of }: CheckResult["coverage"]): string {
  return looked === of ? String(looked) : `${looked} of ${of}`;
}

async function show(io: CommandIo, result: Sweep): Promise<void> {
  await writeTable(io, columns, result.checks);
  for (const finding of result.findings) {
    await write(io.stdout, `\n${describeFinding(finding, outputColours(io)).join("\n")}\n`);
  }
  for (const one of result.allowed) await write(io.stdout, `\n${allowedText(one)}\n`);
  const seen = result.checks.filter(({ status }) => status === "pass" || status === "fail").length;
  const waived = result.allowed.length === 0 ? "" : `${result.allowed.length} allowed, `;
  const summary = `${result.findings.length} findings, ${waived}${seen} of ${result.checks.length} checks ran to the end, ${durationText(result.durationMs)}`;
  await write(io.stdout, `\n${summary}\n`);
}

/** What the configuration allows is shown, with the entry that does. */
export function allowedText({ by, reason, finding }: AllowedFinding): string {
  const { severity, title, id } = finding;
  return printable(`ALLOWED by ${by} (${reason}): ${severity} ${title} ${id}`);
}

async function list(io: CommandIo, options: Options): Promise<void> {
  const described = chosenChecks(options).map(({ id, proves, reads, attack, limits }) => ({
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
