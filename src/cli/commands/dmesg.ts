import { dmesg } from "../../views/dmesg.ts";
import type { LogRow } from "../../views/dmesg.ts";
import type { Colours } from "../colour.ts";
import type { CommandModule } from "../command.ts";
import type { Column } from "../table.ts";
import { defineView } from "../view.ts";

const columns: readonly Column<LogRow>[] = [
  { title: "TIME", value: (row) => (row.nanoseconds / 1e9).toFixed(6), align: "right" },
  { title: "FACILITY", value: (row) => row.facility },
  { title: "LEVEL", value: (row) => row.level, paint: paintLevel },
  { title: "FROM", value: (row) => row.caller, align: "right" },
  { title: "TEXT", value: (row) => row.text, shrink: 20, paint: paintText },
];

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
  defineView(command, io, dmesg, () => columns);
