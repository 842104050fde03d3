import type { ProcessSelection } from "../../linux/process-selection.ts";
import { ps } from "../../views/ps.ts";
import type { ProcessRow } from "../../views/ps.ts";
import type { CommandModule } from "../command.ts";
import { durationText, sizeText, timeText } from "../output.ts";
import { pidOption } from "../pid-option.ts";
import type { Column } from "../table.ts";
import { defineView } from "../view.ts";
import type { ViewOptions } from "../view.ts";

type Options = ViewOptions & ProcessSelection & { readonly wide?: boolean };

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
  { title: "TTY", value: (row) => row.tty },
  { title: "NI", value: (row) => row.nice, align: "right" },
  { title: "THR", value: (row) => row.threads, align: "right" },
  { title: "TIME", value: (row) => durationText(row.cpuTimeMs), align: "right" },
  { title: "RSS", value: (row) => sizeText(row.rss), align: "right" },
  { title: "PIDNS", value: (row) => row.namespaces.pid, align: "right" },
  { title: "NETNS", value: (row) => row.namespaces.net, align: "right" },
  { title: "CONTAINER", value: (row) => row.container },
  { title: "CGROUP", value: (row) => row.cgroup, shrink: 12 },
];

/** `kvmsec ps`: the guest's processes. */
export const define: CommandModule["define"] = (command, io) => {
  command
    .addOption(pidOption())
    .option("--wide", "with capabilities, memory, times, namespaces, container, control group");
  defineView<ProcessRow, Options>(command, io, ps, (options) =>
    options.wide === true ? [...columns.slice(0, 3), ...wide, ...columns.slice(3)] : columns,
  );
};
