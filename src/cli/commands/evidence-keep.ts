import { resolve } from "node:path";
import { InvalidArgumentError } from "commander";
import type { Command } from "commander";
import { usageError } from "../../base/errors.ts";
import { recordByHand } from "../../daemon/control-client.ts";
import { listEvidence, planEvidence, removePackage } from "../../daemon/evidence-index.ts";
import type { IndexedPackage } from "../../daemon/evidence-index.ts";
import { loadConfig } from "../../daemon/load-config.ts";
import { holdPackage, releasePackage } from "../../evidence/holds.ts";
import type { Retention } from "../../evidence/retention.ts";
import { readManifest } from "../../evidence/verify.ts";
import { Store } from "../../store/store.ts";
import { openHome } from "../../vm/home.ts";
import type { Home } from "../../vm/home.ts";
import { parseSize } from "../../vm/size.ts";
import type { CommandIo } from "../command.ts";
import { sizeText, timeText, write, writeDocument, writeTable } from "../output.ts";
import { printable } from "../text.ts";
import { byOption, whoSays } from "../person.ts";

type Options = {
  readonly json?: boolean;
  readonly by?: string;
  readonly note?: string;
  readonly olderThan?: number;
  readonly maxSize?: number;
  readonly keep?: number;
  readonly dryRun?: boolean;
};

/** `evidence list`, `hold`, `release` and `prune`: what lies there, and how long it stays. */
export function defineKeeping(command: Command, io: CommandIo): void {
  defineList(command, io);
  defineVerdict(command, io, {
    name: "hold",
    description: "puts a package under hold: retention never deletes it",
    does: hold,
  });
  defineVerdict(command, io, {
    name: "release",
    description: "ends the hold of a package",
    does: release,
  });
  definePrune(command, io);
}

function packagesOf(home: Home): IndexedPackage[] {
  using store = Store.open(home);
  return listEvidence(home, store, loadConfig().evidence);
}

function defineList(command: Command, io: CommandIo): void {
  command
    .command("list")
    .description("the packages of this home, and which are under hold")
    .option("--json", "one JSON document")
    .action(async (options: Options) => {
      const packages = packagesOf(openHome());
      if (options.json === true) {
        const rows = packages.map((one) => ({ ...one, hold: one.hold ?? null }));
        return writeDocument(io, "kvmsec.evidence-list/1", { packages: rows });
      }
      await writeTable(
        io,
        [
          { title: "MADE", value: (row) => timeText(row.madeAt) },
          { title: "GUEST", value: (row) => row.guest ?? undefined },
          { title: "KIND", value: (row) => row.kind },
          { title: "VERDICT", value: (row) => row.verdict },
          { title: "SIZE", value: (row) => sizeText(row.bytes), align: "right" },
          { title: "HELD BY", value: (row) => row.hold?.by },
          { title: "FOLDER", value: (row) => row.folder, shrink: 30 },
        ],
        packages,
      );
    });
}

/** Takes a package under hold or out of it, and puts that on record. */
function defineVerdict(
  command: Command,
  io: CommandIo,
  { name, description, does }: { name: "hold" | "release"; description: string; does: Verdict },
): void {
  const verdict = command
    .command(name)
    .description(description)
    .argument("<folder>", "the package");
  byOption(verdict.requiredOption("--note <text>", "why"))
    .option("--json", "one JSON document")
    .action(async (folder: string, options: Options) => {
      const home = openHome();
      const { id, guest, place } = identify(folder);
      const data = { folder: place, id, by: whoSays(options), note: options.note ?? "" };
      does(home, data);
      const kind = name === "hold" ? "evidence-held" : "evidence-released";
      await recordByHand(home, { kind, guest, data });
      if (options.json === true) return writeDocument(io, `kvmsec.evidence-${name}/1`, data);
      const now = name === "hold" ? "is under hold" : "is not under hold any more";
      await write(io.stdout, `${printable(place)} ${now}.\n`);
    });
}

type Verdict = (home: Home, data: { folder: string; id: string; by: string; note: string }) => void;

function hold(home: Home, { id, by, note }: Parameters<Verdict>[1]): void {
  holdPackage(home, { id, by, note, at: new Date().toISOString() });
}

function release(home: Home, { id, folder }: Parameters<Verdict>[1]): void {
  if (releasePackage(home, id)) return;
  throw usageError(
    "KVMSEC_EVIDENCE_NOT_HELD",
    `${folder} is not under hold.`,
    "kvmsec evidence list shows what is.",
  );
}

function definePrune(command: Command, io: CommandIo): void {
  command
    .command("prune")
    .description(
      "deletes packages that are too old or too many, by the configuration's retention or these options; never what is under hold",
    )
    .option("--older-than <days>", "made so many days ago", wholeNumber)
    .option("--max-size <size>", "the oldest, until no more than this is left", parseSize)
    .option("--keep <count>", "leave so many of the newest", wholeNumber)
    .option("--dry-run", "only say what would be deleted")
    .option("--json", "one JSON document")
    .action(async (options: Options) => {
      const home = openHome();
      const retention = retentionOf(options);
      const { remove, above } = planEvidence(packagesOf(home), retention);
      const dryRun = options.dryRun === true;
      const removed: { folder: string; id: string; bytes: number; why: string }[] = [];
      for (const { package: one, why } of remove) {
        const { folder, id, bytes } = one;
        if (!dryRun && !removePackage(home, one)) continue;
        removed.push({ folder, id, bytes, why });
        if (dryRun) continue;
        const data = { folder, id, by: whoSays(options), why, bytes };
        await recordByHand(home, { kind: "evidence-pruned", guest: null, data });
      }
      if (options.json === true) {
        return writeDocument(io, "kvmsec.evidence-prune/1", { dryRun, removed, above });
      }
      const verb = dryRun ? "would go" : "deleted";
      const lines = removed.map(
        ({ folder, bytes, why }) => `${verb} (${why}): ${printable(folder)} ${sizeText(bytes)}`,
      );
      if (removed.length === 0) lines.push("Nothing is to be deleted.");
      if (above > 0)
        lines.push(`${sizeText(above)} above the quota stay: under hold, or among the newest.`);
      await write(io.stdout, `${lines.join("\n")}\n`);
    });
}

/** Options count more than the configuration; without either there is nothing to go by. */
function retentionOf({ olderThan, maxSize, keep }: Options): Retention {
  const configured = loadConfig().retention;
  const maxAge = olderThan === undefined ? configured?.maxAge : olderThan * 86_400_000;
  const maxBytes = maxSize ?? configured?.maxBytes;
  if (maxAge === undefined && maxBytes === undefined) {
    throw usageError(
      "KVMSEC_RETENTION_MISSING",
      "Neither the configuration nor an option says what is too old or too much.",
      "Give --older-than DAYS or --max-size SIZE, or write retention into the configuration.",
    );
  }
  return { maxAge, maxBytes, keep: keep ?? configured?.keep ?? 1 };
}

function identify(folder: string): { id: string; guest: string | null; place: string } {
  const place = resolve(folder);
  const { manifest } = readManifest(place);
  const { target } = manifest.facts;
  return { id: manifest.id, guest: typeof target === "string" ? target : null, place };
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0 && value <= 1e6) return value;
  throw new InvalidArgumentError("It is a whole number.");
}
