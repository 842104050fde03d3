import { exitStatus } from "../../base/errors.ts";
import { diagnose } from "../../vm/doctor/doctor.ts";
import type { Diagnosis } from "../../vm/doctor/doctor.ts";
import type { Ability } from "../../vm/doctor/check.ts";
import type { Colours } from "../colour.ts";
import type { CommandModule } from "../command.ts";
import { outputColours, sizeText, terminalWidth, write, writeDocument } from "../output.ts";
import { printable, wrap } from "../text.ts";

const statuses = {
  yes: exitStatus.clean,
  partly: exitStatus.partial,
  no: exitStatus.unobservable,
} as const;

const verdicts = {
  yes: "kvmsec can do its work here.",
  partly: "kvmsec can start and read guests here; what is missing above it cannot do.",
  no: "kvmsec cannot build and start guests here until what is missing is mended.",
} as const;

/** `kvmsec doctor`: what this host can do, what is missing, how to get it. */
export const define: CommandModule["define"] = (command, io) => {
  command
    .option("--json", "one JSON document")
    .addHelpText(
      "after",
      "\nLeaves with 0 where kvmsec can do its work, 4 where some of it cannot be done, 3 where guests cannot be built and started.",
    )
    .action(async (options: { json?: boolean }) => {
      const diagnosis = await diagnose();
      if (options.json === true) {
        const { ready, host, abilities } = diagnosis;
        await writeDocument(io, "kvmsec.doctor/1", { ready, host, checks: abilities });
      } else {
        const lines = describe(diagnosis, outputColours(io), terminalWidth(io));
        await write(io.stdout, `${lines.join("\n")}\n`);
      }
      io.exit(statuses[diagnosis.ready]);
    });
};

function describe(
  { ready, host, abilities }: Diagnosis,
  colours: Colours,
  width: number | undefined,
): string[] {
  const machine = `${host.distribution}, Linux ${host.kernel}, ${host.cpus} processors, ${sizeText(host.memory)}, Node ${host.node}`;
  const lines = [...wrap(printable(machine), width ?? Infinity), ""];
  for (const ability of abilities) lines.push(...describeAbility(ability, colours, width));
  lines.push("", colours.bold(verdicts[ready]));
  return lines;
}

const STATUS_WIDTH = 9;
const TITLE_WIDTH = 18;
const INDENT = " ".repeat(STATUS_WIDTH + TITLE_WIDTH);

function describeAbility(
  { status, title, found, meaning, mend }: Ability,
  colours: Colours,
  width: number | undefined,
): string[] {
  const paint = { ok: colours.green, warning: colours.yellow, missing: colours.red }[status];
  const room = width === undefined ? Infinity : Math.max(width - INDENT.length, 30);
  const rest = [
    ...wrap(printable(found), room),
    ...(meaning === undefined ? [] : wrap(printable(meaning), room)),
  ];
  const head = `${paint(status)}${" ".repeat(STATUS_WIDTH - status.length)}${title.padEnd(TITLE_WIDTH)}`;
  const lines = [`${head}${rest[0]}`, ...rest.slice(1).map((line) => INDENT + line)];
  // A command is not wrapped, so that it can be copied.
  if (mend !== undefined) lines.push(`${INDENT}${colours.bold(`→ ${mend}`)}`);
  return lines;
}
