import type { Command } from "commander";
import { usageError } from "../../base/errors.ts";
import { approvalOf, awaiting } from "../../daemon/approvals.ts";
import { askGuard, recordByHand } from "../../daemon/control-client.ts";
import { loadConfig } from "../../daemon/load-config.ts";
import { Recall } from "../../daemon/recall.ts";
import type { RecordedDecision } from "../../daemon/recall.ts";
import { eventLogPath } from "../../events/event-log.ts";
import { readLog } from "../../events/log-reader.ts";
import { openHome } from "../../vm/home.ts";
import type { Home } from "../../vm/home.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { timeText, write, writeDocument, writeTable } from "../output.ts";
import type { Column } from "../table.ts";
import { printable } from "../text.ts";
import { whoSays } from "../person.ts";

type Options = {
  readonly note?: string;
  readonly by?: string;
  readonly all?: boolean;
  readonly json?: boolean;
};

type Row = { readonly record: RecordedDecision; readonly state: string; readonly expiresAt: Date };

/** `kvmsec approvals`: what waits for a person's word. */
export const define: CommandModule["define"] = (command, io) => {
  command
    .option("-a, --all", "also those that were approved, denied or have expired")
    .option("--json", "one JSON document")
    .action(async (options: Options) => {
      const home = openHome();
      const rows = (await read(home)).filter(
        ({ state }) => options.all === true || state === "pending",
      );
      if (options.json !== true) return writeTable(io, columns, rows);
      const approvals = rows.map(({ record, state, expiresAt }) => ({
        id: record.number,
        guest: record.decision.guest,
        run: record.decision.run,
        rule: record.decision.rule,
        reactions: awaiting(record),
        findings: record.decision.findings,
        decidedAt: record.decision.at,
        expiresAt,
        state,
      }));
      await writeDocument(io, "kvmsec.approvals/1", { approvals });
    });
};

const columns: readonly Column<Row>[] = [
  { title: "ID", value: ({ record }) => record.number, align: "right" },
  { title: "GUEST", value: ({ record }) => record.decision.guest },
  { title: "WOULD", value: ({ record }) => awaiting(record).join(", ") },
  { title: "STATE", value: ({ state }) => state },
  { title: "DECIDED", value: ({ record }) => timeText(record.decision.at) },
  { title: "EXPIRES", value: ({ expiresAt }) => timeText(expiresAt) },
  { title: "RULE", value: ({ record }) => record.decision.rule },
  { title: "FINDINGS", value: ({ record }) => record.decision.findings.join(", "), shrink: 20 },
];

/** `kvmsec approve` and `kvmsec deny`. */
export function defineVerdict(
  command: Command,
  io: CommandIo,
  kind: "decision-approved" | "decision-denied",
): void {
  command
    .argument("<id>", "as kvmsec approvals lists it")
    .option("--note <text>", "why, for whoever reads the record", "")
    .option("--by <name>", "who says so (default: this user)")
    .option("--json", "one JSON document")
    .action(async (id: string, { note = "", by: named, json }: Options) => {
      const home = openHome();
      const { record } = await pending(home, id);
      const { run, guest } = record.decision;
      const by = whoSays({ by: named });
      const data = { run, decision: record.number, by, note };
      await recordByHand(home, { kind, guest, data });
      const reactions = awaiting(record);
      if (json === true) {
        const verdict = kind === "decision-approved" ? "approved" : "denied";
        return writeDocument(io, "kvmsec.approval/1", {
          id: record.number,
          guest,
          reactions,
          verdict,
          by,
        });
      }
      const what = `${reactions.join(", ")} of ${printable(guest)}`;
      if (kind === "decision-denied") return write(io.stdout, `${what} will not be done.\n`);
      const serves = (await askGuard(home, { ask: "status" })) !== undefined;
      const when = serves ? "the guard does it now" : "the guard does it when it is started";
      await write(io.stdout, `${what} is approved; ${when}.\n`);
    });
}

async function pending(home: Home, id: string): Promise<Row> {
  const row = (await read(home)).find(({ record }) => String(record.number) === id);
  if (row === undefined) {
    throw usageError(
      "KVMSEC_APPROVAL_UNKNOWN",
      `Nothing waits under the number ${id}.`,
      "kvmsec approvals lists what waits.",
    );
  }
  if (row.state === "pending") return row;
  throw usageError("KVMSEC_APPROVAL_SETTLED", `Number ${id} waits no more: it is ${row.state}.`);
}

/** Everything that asked for a person's word, the oldest first. */
async function read(home: Home): Promise<Row[]> {
  const recall = new Recall();
  readLog(eventLogPath(home.root), (event) => recall.take(event));
  const expiry = await expiryOf(home);
  const now = new Date();
  return recall.decisions.flatMap((record) => {
    const state = approvalOf(record, expiry, now);
    const expiresAt = new Date(+record.decision.at + expiry);
    const over = state === "pending" && !recall.runs.has(record.decision.run);
    return state === undefined
      ? []
      : [{ record, state: over ? "void: the guest has ended" : state, expiresAt }];
  });
}

/** The guard's own word, where it runs. */
async function expiryOf(home: Home): Promise<number> {
  const status = await askGuard(home, { ask: "status" });
  const told = status?.["approvalExpiryMs"];
  return typeof told === "number" ? told : loadConfig().approvalExpiry;
}
