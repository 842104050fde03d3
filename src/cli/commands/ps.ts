import { ps } from "../../views/ps.ts";
import type { ProcessRow } from "../../views/ps.ts";
import type { CommandModule } from "../command.ts";
import { timeText } from "../output.ts";
import type { Column } from "../table.ts";
import { defineView } from "../view.ts";
import type { ViewOptions } from "../view.ts";

type Options = ViewOptions & { readonly wide?: boolean };

const columns: readonly Column<ProcessRow>[] = [
  { title: "PID", value: (row) => row.pid, align: "right" },
  { title: "PPID", value: (row) => row.ppid, align: "right" },
  { title: "UID", value: (row) => row.uid, align: "right" },
  { title: "S", value: (row) => row.state },
  { title: "STARTED", value: (row) => timeText(row.startTime) },
  { title: "COMM", value: (row) => (row.kthread ? `[${row.name}]` : row.name) },
  { title: "EXE", value: (row) => row.exe, shrink: 12 },
  { title: "COMMAND", value: (row) => row.commandLine?.text, shrink: 16 },
];

const wide: readonly Column<ProcessRow>[] = [
  { title: "GID", value: (row) => row.gid, align: "right" },
  {
    title: "CAPS",
    value: (row) => row.credentials.capabilities.effective.toString(16),
    align: "right",
  },
  { title: "PIDNS", value: (row) => row.namespaces.pid, align: "right" },
  { title: "NETNS", value: (row) => row.namespaces.net, align: "right" },
  { title: "CONTAINER", value: (row) => row.container },
  { title: "CGROUP", value: (row) => row.cgroup, shrink: 12 },
];

/** `kvmsec ps`: the guest's processes. */
export const define: CommandModule["define"] = (command, io) => {
  command.option("--wide", "with capabilities, namespaces, container and control group");
  defineView<ProcessRow, Options>(command, io, ps, (options) =>
    options.wide === true ? [...columns.slice(0, 3), ...wide, ...columns.slice(3)] : columns,
  );
};
