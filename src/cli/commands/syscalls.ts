import type { Syscall } from "../../linux/syscall.ts";
import { syscalls } from "../../views/syscalls.ts";
import type { CommandModule } from "../command.ts";
import type { Column } from "../table.ts";
import { defineView } from "../view.ts";

const columns: readonly Column<Syscall>[] = [
  { title: "TABLE", value: (row) => row.table },
  { title: "NR", value: (row) => row.number, align: "right" },
  { title: "NAME", value: (row) => row.name },
  { title: "FUNCTION", value: (row) => row.target, shrink: 12 },
  {
    title: "OWNER",
    value: (row) => row.owner,
    paint: (text, row, colours) => (row.owner === "vmlinux" ? text : colours.red(text)),
  },
];

/** `kvmsec syscalls`: where system calls lead. */
export const define: CommandModule["define"] = (command, io) =>
  defineView(command, io, syscalls, () => columns);
