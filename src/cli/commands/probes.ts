import { Option } from "commander";
import { probes } from "../../views/probes.ts";
import type { ProbeRow, ProbeSelection } from "../../views/probes.ts";
import type { CommandModule } from "../command.ts";
import type { Column } from "../table.ts";
import { defineView } from "../view.ts";
import type { ViewOptions } from "../view.ts";

const KINDS = ["kprobe", "uprobe", "tracepoint", "ftrace", "perf", "livepatch"];

const columns: readonly Column<ProbeRow>[] = [
  { title: "KIND", value: (row) => row.kind },
  { title: "PLACE", value: (row) => row.place, shrink: 20 },
  { title: "ROLE", value: (row) => row.role },
  { title: "FUNCTION", value: (row) => row.symbol, shrink: 20 },
  {
    title: "OWNER",
    value: (row) => row.owner ?? (row.target === 0 ? "" : "nobody"),
    paint: (text, _row, colours) => (text.trim() === "nobody" ? colours.red(text) : text),
  },
];

/** `kvmsec probes`: who is called where the kernel's or a program's functions run. */
export const define: CommandModule["define"] = (command, io) => {
  command.addOption(new Option("--kind <kind...>", "only these").choices(KINDS));
  defineView<ProbeRow, ViewOptions & ProbeSelection>(command, io, probes, () => columns);
};
