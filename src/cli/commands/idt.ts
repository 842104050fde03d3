import type { Gate } from "../../linux/idt.ts";
import { idt } from "../../views/idt.ts";
import type { CommandModule } from "../command.ts";
import type { Column } from "../table.ts";
import { defineView } from "../view.ts";

const columns: readonly Column<Gate>[] = [
  { title: "VECTOR", value: (row) => row.vector, align: "right" },
  { title: "TYPE", value: (row) => (row.present ? row.type : "absent") },
  { title: "DPL", value: (row) => row.dpl, align: "right" },
  { title: "IST", value: (row) => row.ist, align: "right" },
  { title: "SELECTOR", value: (row) => `0x${row.selector.toString(16)}`, align: "right" },
  { title: "HANDLER", value: (row) => row.target, shrink: 12 },
  {
    title: "OWNER",
    value: (row) => row.owner,
    paint: (text, row, colours) => (row.owner === "vmlinux" ? text : colours.red(text)),
  },
];

/** `kvmsec idt`: which function every interrupt enters. */
export const define: CommandModule["define"] = (command, io) =>
  defineView(command, io, idt, () => columns);
