import type { Command } from "commander";
import { exitStatus, usageError } from "../../base/errors.ts";
import { recordByHand } from "../../daemon/control-client.ts";
import { lifeOf, listFindings } from "../../store/findings.ts";
import type { KeptFinding } from "../../store/findings.ts";
import { Store } from "../../store/store.ts";
import { openHome } from "../../vm/home.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { describeFinding } from "../finding-text.ts";
import { outputColours, write, writeDocument, writeTable } from "../output.ts";
import type { Column } from "../table.ts";
import { printable } from "../text.ts";
import { whoSays } from "../person.ts";

type Options = {
  readonly guest?: string;
  readonly all?: boolean;
  readonly json?: boolean;
  readonly note?: string;
  readonly by?: string;
};

/** `kvmsec findings`: what the guard found, and what became of it. */
export const define: CommandModule["define"] = (command, io) => {
  defineList(command, io);
  defineShow(command, io);
  defineAck(command, io);
};

function defineList(command: Command, io: CommandIo): void {
  command
    .command("list", { isDefault: true })
    .description(
      "findings that are open; exit status 1 where there are any that nobody acknowledged",
    )
    .option("--guest <name>", "of this guest only")
    .option("-a, --all", "also those that were resolved")
    .option("--json", "one JSON document")
    .action(async (options: Options) => {
      using store = Store.open(openHome());
      const findings = listFindings(store, options);
      if (options.json === true) {
        await writeDocument(io, "kvmsec.findings/1", { findings });
      } else await writeTable(io, columns, findings);
      io.exit(findings.some(isOpen) ? exitStatus.findings : exitStatus.clean);
    });
}

function isOpen({ state }: KeptFinding): boolean {
  return state !== "resolved" && state !== "acknowledged";
}

const columns: readonly Column<KeptFinding>[] = [
  { title: "CHANGED", value: ({ changedAt }) => changedAt.slice(0, 19).replace("T", " ") },
  { title: "GUEST", value: ({ guest, ended }) => (ended ? `${guest} (ended)` : guest) },
  { title: "STATE", value: ({ state }) => state },
  { title: "SEVERITY", value: ({ finding }) => finding.severity },
  { title: "FINDING", value: ({ id }) => id },
  { title: "TITLE", value: ({ finding }) => finding.title, shrink: 30 },
];

function defineShow(command: Command, io: CommandIo): void {
  command
    .command("show")
    .description("one finding with its evidence and its life")
    .argument("<id>", "as the list has it")
    .option("--guest <name>", "of this guest only")
    .option("--json", "one JSON document")
    .action(async (id: string, options: Options) => {
      using store = Store.open(openHome());
      const found = mustFind(store, id, options).map((kept) => ({
        ...kept,
        life: lifeOf(store, kept),
      }));
      if (options.json === true) {
        return writeDocument(io, "kvmsec.findings/1", { findings: found });
      }
      for (const { finding, guest, run, state, life } of found) {
        const lines = [
          ...describeFinding(finding, outputColours(io)),
          `    guest: ${printable(guest)} (run ${run}), ${state}`,
          ...life.map(({ at, event, by, note }) => {
            const who = by === null ? "" : ` by ${printable(by)}: ${printable(note ?? "")}`;
            return `    ${at} ${event}${who}`;
          }),
        ];
        await write(io.stdout, `${lines.join("\n")}\n`);
      }
    });
}

function defineAck(command: Command, io: CommandIo): void {
  command
    .command("ack")
    .description(
      "says that a person knows of it: no reaction follows on it until it goes and comes back",
    )
    .argument("<id>", "as the list has it")
    .requiredOption("--note <text>", "why, for whoever reads the record")
    .option("--by <name>", "who says so (default: this user)")
    .option("--guest <name>", "of this guest only")
    .option("--json", "one JSON document")
    .action(async (id: string, options: Options & { readonly note: string }) => {
      const home = openHome();
      const open = openFindings(id, options);
      const by = whoSays(options);
      for (const { guest, run } of open) {
        const data = { run, id, by, note: options.note };
        await recordByHand(home, { kind: "finding-acknowledged", guest, data });
      }
      const guests = open.map(({ guest }) => guest);
      if (options.json === true) {
        return writeDocument(io, "kvmsec.finding-ack/1", { id, guests, by, note: options.note });
      }
      await write(io.stdout, `${id} is acknowledged, on ${guests.map(printable).join(", ")}.\n`);
    });
}

function openFindings(id: string, options: Options): KeptFinding[] {
  using store = Store.open(openHome());
  const open = mustFind(store, id, options).filter(({ state }) => state !== "resolved");
  if (open.length > 0) return open;
  throw usageError(
    "KVMSEC_FINDING_RESOLVED",
    `${id} is resolved: there is nothing to acknowledge.`,
  );
}

function mustFind(store: Store, id: string, { guest }: Options): KeptFinding[] {
  const found = listFindings(store, { id, guest, all: true });
  if (found.length > 0) return found;
  throw usageError(
    "KVMSEC_FINDING_UNKNOWN",
    `The guard knows no finding ${id}${guest === undefined ? "" : ` of ${guest}`}.`,
    "kvmsec findings --all lists those that it knows.",
  );
}
