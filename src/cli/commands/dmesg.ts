import { dmesg } from "../../views/dmesg.ts";
import type { LogRow } from "../../views/dmesg.ts";
import type { Guest } from "../../vm/guest.ts";
import type { Colours } from "../colour.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { onInterrupt, pause } from "../interrupt.ts";
import { outputColours, terminalWidth, write, writeJsonLine } from "../output.ts";
import { tableLines } from "../table.ts";
import type { Column } from "../table.ts";
import { defineView, documentHead } from "../view.ts";
import type { ViewOptions } from "../view.ts";

const LOOK_MS = 250;

const columns: readonly Column<LogRow>[] = [
  { title: "TIME", value: (row) => (row.nanoseconds / 1e9).toFixed(6), align: "right" },
  { title: "FACILITY", value: (row) => row.facility },
  { title: "LEVEL", value: (row) => row.level, paint: paintLevel },
  { title: "FROM", value: (row) => row.caller, align: "right" },
  { title: "TEXT", value: (row) => row.text, shrink: 20, paint: paintText },
];

/** Lines that are shown one by one are as wide as usual: "12345.123456", "authpriv", "notice", "T12345". */
const USUAL_WIDTHS = [12, 8, 6, 6, 0];
const followed = columns.map((column, index): Column<LogRow> => {
  const width = USUAL_WIDTHS[index] ?? 0;
  return { ...column, value: (row) => String(column.value(row) ?? "-").padEnd(width) };
});

function paintLevel(text: string, { level }: LogRow, colours: Colours): string {
  if (level === "warn") return colours.yellow(text);
  return ["emerg", "alert", "crit", "err"].includes(level) ? colours.red(text) : text;
}

/** What the guest has hidden from its own dmesg. */
function paintText(text: string, { cleared }: LogRow, colours: Colours): string {
  return cleared ? colours.dim(text) : text;
}

/** `kvmsec dmesg`: the kernel's log. */
export const define: CommandModule["define"] = (command, io) =>
  defineView(command, io, dmesg, () => columns, follow);

/** Tells each record once, until stopped; what was overwritten before it could be read is told too. */
async function follow(io: CommandIo, guest: Guest, options: ViewOptions): Promise<number> {
  let next = 0;
  let missed = 0;
  using interruption = onInterrupt();
  while (!interruption.signal.aborted) {
    guest.requireAlive();
    guest.kernel.refresh();
    // A record that is being written is told with the next look.
    const rows = [...dmesg.read(guest.kernel, {}, () => {})].filter(({ seq }) => seq >= next);
    const [first] = rows;
    if (first !== undefined && next > 0 && first.seq > next) {
      missed += first.seq - next;
      io.stderr.write(`kvmsec: ${first.seq - next} records were overwritten unseen\n`);
    }
    for (const row of rows) await tell(io, guest, row, options);
    next = Math.max(next, (rows.at(-1)?.seq ?? -1) + 1);
    // Nothing is added to a dump.
    if (guest.target.kind === "file") break;
    await pause(LOOK_MS, interruption.signal);
  }
  return missed;
}

async function tell(
  io: CommandIo,
  guest: Guest,
  row: LogRow,
  { json }: ViewOptions,
): Promise<void> {
  if (json === true) {
    const record = dmesg.json(row, guest.kernel);
    return writeJsonLine(io, dmesg.schema, { ...documentHead(guest), records: [record] });
  }
  const [line] = tableLines(followed, [row], {
    headless: true,
    width: terminalWidth(io),
    colours: outputColours(io),
  });
  return write(io.stdout, `${line}\n`);
}
